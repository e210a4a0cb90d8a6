/* pool.c: maximum and mean of windows, mean of planes; the way back is in pool_backward.c.
 * x (n, c, h, w), y and index (n, c, oh, ow); a plane is one (h, w) or (oh, ow).
 *
 * A task owns some planes of what it writes; what is called a plane here may be a stack of them.
 * Windows of neighbouring columns are computed VL at a
 * time; the last vector of a row goes over some of the others' windows once more or, where the row
 * is shorter than a vector, runs over into the next rows of its plane, which are written
 * afterwards. What has no room for that is done window by window. */
#include "pool.h"

/* Columns begin .. end of an output row are those a vector may start at: its reads stay in the
 * plane of x and its writes in the plane of y. Rows [top, bottom) of the windows lie in the image.
 */
typedef struct {
    int64_t top, bottom, begin, end;
} span;

/* What is the same for every plane. */
typedef struct {
    int64_t first, last;          /* columns of windows inside the image from left to right */
    int64_t plain_row, rough_row; /* output rows [plain_row, rough_row) have the span `plain` */
    span plain;
} plan;

static span find_span(const nnf_pool *p, int64_t oh) {
    const int64_t ih = oh * p->stride_h - p->pad_h;
    span s = {MAX(0, -ih), MIN(p->kh, p->h - ih), 0, -1};
    if (p->w > 1 << 30) /* columns have to fit the integer lanes */
        return s;
    const int64_t first_row = (ih + s.top) * p->w, last_row = (ih + s.bottom - 1) * p->w;
    if (first_row < p->pad_w) /* the plane's first row: no reading to the left of it */
        s.begin = MIN(p->ow, ceil_div(p->pad_w, p->stride_w));
    /* the last load of a vector at ow begins at its last tap and ends VL * stride later */
    const int64_t readable = p->h * p->w - last_row + p->pad_w - (p->kw - 1);
    const int64_t from_reads = readable < 0 ? -1 : readable / p->stride_w - VL;
    s.end = MIN(MIN(from_reads, (p->oh - oh) * p->ow - VL), p->ow - 1);
    return s;
}

static bool is_plain(const nnf_pool *p, span s) {
    return s.top == 0 && s.bottom == p->kh && s.begin == 0 && s.end >= p->ow - VL && s.end >= 0;
}

static plan make_plan(const nnf_pool *p) {
    const int64_t last = p->w + p->pad_w - p->kw;
    plan g = {.first = ceil_div(p->pad_w, p->stride_w), .plain = {0, p->kh, 0, p->ow - 1}};
    g.last = last < 0 ? -1 : last / p->stride_w;
    while (g.plain_row < p->oh && !is_plain(p, find_span(p, g.plain_row)))
        g.plain_row++;
    g.rough_row = p->oh;
    while (g.rough_row > g.plain_row && !is_plain(p, find_span(p, g.rough_row - 1)))
        g.rough_row--;
    return g;
}

VINLINE span get_span(const nnf_pool *p, const plan *g, int64_t oh) {
    return oh >= g->plain_row && oh < g->rough_row ? g->plain : find_span(p, oh);
}

/* Where the vector starts that is to compute column ow and those after it. */
VINLINE int64_t vector_start(const span *s, int64_t ow, int64_t outputs) {
    return ow + VL <= outputs ? ow : MAX(outputs - VL, s->begin);
}

/* VL reals, stride apart, in the order vunmix() undoes. */
VINLINE vec load_lanes(const real *p, int64_t stride) {
    return stride == 2 ? veven_mixed(vload(p), vload(p + VL)) : vload_strided(p, stride);
}
VINLINE vec order_lanes(vec v, int64_t stride) { return stride == 2 ? vunmix(v) : v; }

/* Tap j of VL windows. Of stride 2, an even tap's loads hold the odd tap that comes next. */
VINLINE vec load_tap(const real *row, int64_t j, int64_t stride, vec *next) {
    if (stride != 2)
        return load_lanes(row + j, stride);
    if (j % 2 == 1)
        return *next;
    const vec low = vload(row + j), high = vload(row + j + VL);
    *next = vodd_mixed(low, high);
    return veven_mixed(low, high);
}

/* The column of each lane's window, the first one's being 0, in the order of load_lanes. */
VINLINE ivec lane_columns(int64_t stride) {
    ireal column[2 * VL];
    for (int i = 0; i < 2 * VL; i++)
        column[i] = (ireal)(stride == 2 ? i : i * stride);
    return (ivec)load_lanes((const real *)column, stride == 2 ? 2 : 1);
}

/* NaN is the greatest and the first of equals wins, as in NumPy's argmax. */
static void max_window(const nnf_pool *p, int64_t oh, int64_t ow, const real *x, max_result to) {
    const int64_t ih = oh * p->stride_h - p->pad_h, iw = ow * p->stride_w - p->pad_w;
    const int64_t top = MAX(0, -ih), bottom = MIN(p->kh, p->h - ih);
    const int64_t left = MAX(0, -iw), right = MIN(p->kw, p->w - iw);
    real best = x[(ih + top) * p->w + iw + left];
    int64_t at = top * p->kw + left;
    for (int64_t i = top; i < bottom; i++)
        for (int64_t j = left; j < right; j++) {
            const real value = x[(ih + i) * p->w + iw + j];
            if (!(value <= best) && best == best) {
                best = value;
                at = i * p->kw + j;
            }
        }
    if (best <= to.least) {
        best = 0;
        at = to.none;
    }
    to.y[oh * p->ow + ow] = best;
    if (to.index8)
        to.index8[oh * p->ow + ow] = (uint8_t)at;
    else
        to.index32[oh * p->ow + ow] = (int32_t)at;
}

/* VL neighbouring windows, their rows [top, bottom) in the image; x is at the first one's first
 * pixel. If not within, pixels of a lane out of [0, width) count as -inf: `column` is the lanes'
 * first pixel's. */
VINLINE void max_vector(bool within, const real *x, int64_t width, ivec column, int64_t top,
                        int64_t bottom, int64_t kw, int64_t stride, vec *best, ivec *at) {
    const vec lowest = vset1((real)-INFINITY);
    const ivec left = column < 0;
    *best = within ? load_lanes(x + top * width, stride) : lowest;
    *at = viset1((ireal)(top * kw)) - (within ? viset1(0) : left & column);
    for (int64_t i = top; i < bottom; i++)
        for (int64_t j = within && i == top; j < kw; j++) {
            vec value = load_lanes(x + i * width + j, stride);
            if (!within) {
                const ivec pixel = column + viset1((ireal)j);
                value = vselect((pixel >= 0) & (pixel < viset1((ireal)width)), value, lowest);
            }
            const ivec better = ~(value <= *best) & (*best == *best);
            *best = vselect(better, value, *best);
            *at = (ivec)vselect(better, (vec)viset1((ireal)(i * kw + j)), (vec)*at);
        }
    *best = order_lanes(*best, stride);
    *at = (ivec)order_lanes((vec)*at, stride);
}

/* The same of windows that lie in the image, without NaN. Returns whether there was one after all,
 * or infinities of both signs: then it has to be done the other way. */
VINLINE bool max_of_numbers(const real *x, int64_t width, int64_t kh, int64_t kw, int64_t stride,
                            vec *best, ivec *at) {
    vec next = vzero(), sum = load_tap(x, 0, stride, &next), greatest = sum;
    ivec tap = viset1(0), found = tap;
    for (int64_t i = 0; i < kh; i++)
        for (int64_t j = i == 0; j < kw; j++) {
            const vec value = load_tap(x + i * width, j, stride, &next);
            tap += viset1(1);
            sum += value; /* any NaN shows */
            found = (ivec)vselect(value > greatest, (vec)tap, (vec)found);
            greatest = vmax(value, greatest);
        }
    *best = order_lanes(greatest, stride);
    *at = (ivec)order_lanes((vec)found, stride);
    return vany(sum != sum);
}

VINLINE void max_plane(const nnf_pool *p, const plan *g, const real *x, max_result to, int64_t kh,
                       int64_t kw, int64_t stride) {
    const ivec columns = lane_columns(stride);
    const int64_t width = p->w, outputs = p->ow; /* bytes that are stored might change *p */
    const int64_t first_inside = g->first, last_inside = g->last;
    for (int64_t oh = 0; oh < p->oh; oh++) {
        const span s = get_span(p, g, oh);
        const bool whole = s.bottom - s.top == kh;
        const real *row = x + (oh * p->stride_h - p->pad_h) * width - p->pad_w;
        int64_t ow = s.begin;
        for (int64_t at; ow < outputs && (at = vector_start(&s, ow, outputs)) <= s.end;
             ow = at + VL) {
            const bool within = at >= first_inside && MIN(at + VL, outputs) - 1 <= last_inside;
            vec best;
            ivec tap;
            if (!within || !whole ||
                max_of_numbers(row + at * stride, width, kh, kw, stride, &best, &tap))
                max_vector(within, row + at * stride, width,
                           columns + viset1((ireal)(at * stride - p->pad_w)), s.top, s.bottom, kw,
                           stride, &best, &tap);
            store_maxima(best, tap, &to, oh * outputs + at, VL);
        }
        for (; ow < outputs; ow++)
            max_window(p, oh, ow, x, to);
        for (ow = 0; ow < s.begin; ow++)
            max_window(p, oh, ow, x, to);
    }
}

static void max_pool_plane(const nnf_pool *p, const plan *g, const real *x, max_result to) {
    if (are_quads(p) && to.index8 && FN(max_quads)(p, x, &to))
        return;
    if (p->kh == 3 && p->kw == 3 && p->stride_w == 2)
        max_plane(p, g, x, to, 3, 3, 2);
    else if (p->stride_w == 2)
        max_plane(p, g, x, to, p->kh, p->kw, 2);
    else if (p->stride_w == 1)
        max_plane(p, g, x, to, p->kh, p->kw, 1);
    else
        max_plane(p, g, x, to, p->kh, p->kw, p->stride_w);
}

int FN(max_pool2d)(const nnf_pool *p, const real *x, int act, real *y, uint8_t *index8,
                   int32_t *index32) {
    const int64_t in = p->h * p->w, out = p->oh * p->ow;
    const double taps = (double)(p->kh * p->kw) / (double)(p->stride_h * p->stride_w);
    const int64_t height = stack_height(p), planes = p->n * p->c;
    const nnf_pool whole = stack_of(p, height);
    const plan of_whole = make_plan(&whole);
    PLANES(stack, ceil_div(planes, height), height * in, 0.3 + 0.3 * taps, {
        const int64_t plane = stack * height;
        const nnf_pool part = stack_of(p, MIN(height, planes - plane));
        const plan of_part = part.h == whole.h ? of_whole : make_plan(&part);
        const max_result to = {.y = y + plane * out,
                               .index8 = index8 ? index8 + plane * out : NULL,
                               .index32 = index32 ? index32 + plane * out : NULL,
                               .least = act == NNF_RELU ? 0 : (real)NAN,
                               .none = (int32_t)(p->kh * p->kw)};
        max_pool_plane(&part, &of_part, x + plane * in, to);
    });
    return NNF_OK;
}

/* Mean of windows: the sum of the pixels inside over `count` values or, if that is 0, their
 * number. */
static void avg_window(const nnf_pool *p, int64_t count, int64_t oh, int64_t ow, const real *x,
                       real *y) {
    const int64_t ih = oh * p->stride_h - p->pad_h, iw = ow * p->stride_w - p->pad_w;
    const int64_t top = MAX(0, -ih), bottom = MIN(p->kh, p->h - ih);
    const int64_t left = MAX(0, -iw), right = MIN(p->kw, p->w - iw);
    real sum = 0;
    for (int64_t i = top; i < bottom; i++)
        for (int64_t j = left; j < right; j++)
            sum += x[(ih + i) * p->w + iw + j];
    y[oh * p->ow + ow] = sum / (real)(count ? count : (bottom - top) * (right - left));
}

/* Sums of VL neighbouring windows, as max_vector; pixels out of the image count as zero. */
VINLINE vec sum_vector(bool within, const real *x, int64_t width, ivec column, int64_t rows,
                       int64_t kw, int64_t stride) {
    vec sum = vzero(), next = vzero();
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < kw; j++) {
            const vec value = load_tap(x + i * width, j, stride, &next);
            const ivec pixel = column + viset1((ireal)j);
            const ivec valid = (pixel >= 0) & (pixel < viset1((ireal)width));
            sum += within ? value : (vec)(valid & (ivec)value);
        }
    return order_lanes(sum, stride);
}

VINLINE void avg_plane(const nnf_pool *p, const plan *g, int64_t count, const real *x, real *y,
                       int64_t stride) {
    const ivec columns = lane_columns(stride);
    const int64_t outputs = p->ow, kw = p->kw;
    for (int64_t oh = 0; oh < p->oh; oh++) {
        const span s = get_span(p, g, oh);
        const int64_t rows = s.bottom - s.top;
        const vec divisor = vset1((real)(count ? count : rows * kw));
        const real *row = x + (oh * p->stride_h - p->pad_h + s.top) * p->w - p->pad_w;
        int64_t ow = 0;
        while (ow < outputs) {
            const int64_t at = vector_start(&s, ow, outputs);
            const bool within = at >= g->first && MIN(at + VL, outputs) - 1 <= g->last;
            if (ow < s.begin || at > s.end || (!within && !count)) {
                avg_window(p, count, oh, ow++, x, y);
                continue;
            }
            const ivec column = columns + viset1((ireal)(at * stride - p->pad_w));
            const real *from = row + at * stride;
            const vec sum = within ? sum_vector(true, from, p->w, column, rows, kw, stride)
                                   : sum_vector(false, from, p->w, column, rows, kw, stride);
            vstore(y + oh * outputs + at, sum / divisor);
            ow = at + VL;
        }
    }
}

static void avg_pool_plane(const nnf_pool *p, const plan *g, int64_t count, const real *x,
                           real *y) {
    if (are_quads(p))
        FN(mean_quads)(p, x, y);
    else if (p->stride_w == 1)
        avg_plane(p, g, count, x, y, 1);
    else if (p->stride_w == 2)
        avg_plane(p, g, count, x, y, 2);
    else
        avg_plane(p, g, count, x, y, p->stride_w);
}

int FN(avg_pool2d)(const nnf_pool *p, int count_include_pad, const real *x, real *y) {
    const int64_t in = p->h * p->w, out = p->oh * p->ow;
    const int64_t count = count_include_pad ? p->kh * p->kw : 0;
    const double taps = (double)(p->kh * p->kw) / (double)(p->stride_h * p->stride_w);
    const int64_t height = stack_height(p), planes = p->n * p->c;
    const nnf_pool whole = stack_of(p, height);
    const plan of_whole = make_plan(&whole);
    PLANES(stack, ceil_div(planes, height), height * in, 0.1 + 0.1 * taps, {
        const int64_t plane = stack * height;
        const nnf_pool part = stack_of(p, MIN(height, planes - plane));
        const plan of_part = part.h == whole.h ? of_whole : make_plan(&part);
        avg_pool_plane(&part, &of_part, count, x + plane * in, y + plane * out);
    });
    return NNF_OK;
}

int FN(global_avg_pool2d)(int64_t planes, int64_t size, const real *x, real *y) {
    return FN(reduce_mean)(planes, size, 1, x, y);
}
