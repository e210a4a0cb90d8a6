/* optim.c: one optimizer step in one pass, in place, over tensors of n elements each: param, its
 * gradient and the optimizer's state, all (n) and none overlapping another. Formulas as in PyTorch.
 */
#include "real.h"

/* The gradient with weight decay; without it an infinite parameter must not make it NaN. */
VINLINE vec decayed(vec grad, vec param, real decay) {
    return decay != 0 ? vfma(vset1(decay), param, grad) : grad;
}

/* Says where each tensor begins; returns where the last one ends. */
static int64_t lay_out(int64_t count, nnf_tensor *tensors) {
    int64_t begin = 0;
    for (int64_t i = 0; i < count; i++) {
        tensors[i].begin = begin;
        begin += round_up(tensors[i].n, LINE);
    }
    return begin;
}

/* Elements of a chunk: of a small network fewer, so that threads have about the same to do. */
static int64_t chunk_of(int64_t total) {
    return MIN(NNF_CHUNK, MAX(NNF_CHUNK / 8, round_up(total / 32, LINE)));
}

/* The last tensor that begins at `element` or before. */
static int64_t tensor_at(int64_t count, const nnf_tensor *tensors, int64_t element) {
    int64_t low = 0;
    for (int64_t high = count; high - low > 1;) {
        const int64_t middle = (low + high) / 2;
        if (tensors[middle].begin <= element)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The numbers of a step: a running mean keeps so much of what it was and takes the rest. */
typedef struct {
    real rate, decay, eps;
    real keep, rest;         /* of the first running mean, momentum */
    real keep_sq, rest_sq;   /* of that of squares */
    real root_scale, shrink; /* Adam's */
    bool nesterov;
} settings;

/* The step of n elements; a and b are the optimizer's state, as far as it has one. */
typedef void stepper(int64_t n, real *restrict param, const real *restrict grad, real *restrict a,
                     real *restrict b, const settings *s);

/* The body of a step for each vector: element i and those behind it, of which `left` are there,
 * with the parameters p and the decayed gradients g. */
#define EACH_VECTOR(i, left, p, g, ...)                                                            \
    for (int64_t i = 0; i < n; i += VL) {                                                          \
        const int64_t left = n - i;                                                                \
        const vec p = vload_upto(param + i, left);                                                 \
        const vec g = decayed(vload_upto(grad + i, left), p, s->decay);                            \
        __VA_ARGS__;                                                                               \
    }

/* Takes the step of all tensors, `ns` nanoseconds an element. One after the other, each from a
 * whole cache line, they are cut into chunks. */
static int update_all(int64_t count, nnf_tensor *tensors, double ns, stepper *step,
                      const settings *s) {
    const int64_t total = lay_out(count, tensors), size = chunk_of(total);
    PARALLEL_FOR(chunk, ceil_div(total, size), ns * (double)total, {
        const int64_t first = chunk * size, last = MIN(first + size, total);
        for (int64_t i = tensor_at(count, tensors, first); i < count && tensors[i].begin < last;
             i++) {
            const nnf_tensor *const t = tensors + i;
            const int64_t begin = MAX(first - t->begin, 0), end = MIN(last - t->begin, t->n);
            real *const param = t->param, *const a = t->state[0], *const b = t->state[1];
            const real *const grad = t->grad;
            if (begin < end) /* not in the gap behind a tensor, or without elements */
                step(end - begin, param + begin, grad + begin, a ? a + begin : a, b ? b + begin : b,
                     s);
        }
    });
    return NNF_OK;
}

static void sgd_step(int64_t n, real *restrict param, const real *restrict grad, real *restrict a,
                     real *restrict b, const settings *s) {
    (void)a;
    (void)b;
    const vec rate = vset1(s->rate);
    EACH_VECTOR(i, left, p, g, { vstore_upto(param + i, p - rate * g, left); });
}

int FN(sgd_update)(int64_t count, nnf_tensor *tensors, double lr, double weight_decay) {
    const settings s = {.rate = (real)lr, .decay = (real)weight_decay};
    return update_all(count, tensors, 0.3, sgd_step, &s);
}

static void momentum_step(int64_t n, real *restrict param, const real *restrict grad,
                          real *restrict velocity, real *restrict b, const settings *s) {
    (void)b;
    const vec rate = vset1(s->rate), keep = vset1(s->keep);
    EACH_VECTOR(i, left, p, g, {
        const vec v = vfma(keep, vload_upto(velocity + i, left), g);
        vstore_upto(velocity + i, v, left);
        vstore_upto(param + i, p - rate * (s->nesterov ? vfma(keep, v, g) : v), left);
    });
}

int FN(momentum_update)(int64_t count, nnf_tensor *tensors, double lr, double momentum,
                        double weight_decay, int nesterov) {
    const settings s = {.rate = (real)lr,
                        .decay = (real)weight_decay,
                        .keep = (real)momentum,
                        .nesterov = nesterov};
    return update_all(count, tensors, 0.5, momentum_step, &s);
}

static void adagrad_step(int64_t n, real *restrict param, const real *restrict grad,
                         real *restrict sum_sq, real *restrict b, const settings *s) {
    (void)b;
    const vec rate = vset1(s->rate), eps = vset1(s->eps);
    EACH_VECTOR(i, left, p, g, {
        const vec sum = vfma(g, g, vload_upto(sum_sq + i, left));
        vstore_upto(sum_sq + i, sum, left);
        vstore_upto(param + i, p - rate * g / (vsqrt(sum) + eps), left);
    });
}

int FN(adagrad_update)(int64_t count, nnf_tensor *tensors, double lr, double eps,
                       double weight_decay) {
    const settings s = {.rate = (real)lr, .decay = (real)weight_decay, .eps = (real)eps};
    return update_all(count, tensors, 0.6, adagrad_step, &s);
}

/* A running mean of squares after x. */
VINLINE vec mean_of_squares(const settings *s, vec mean, vec x) {
    return vfma(vset1(s->keep_sq), mean, vset1(s->rest_sq) * x * x);
}

static void rmsprop_step(int64_t n, real *restrict param, const real *restrict grad,
                         real *restrict mean_sq, real *restrict b, const settings *s) {
    (void)b;
    const vec rate = vset1(s->rate), eps = vset1(s->eps);
    EACH_VECTOR(i, left, p, g, {
        const vec mean = mean_of_squares(s, vload_upto(mean_sq + i, left), g);
        vstore_upto(mean_sq + i, mean, left);
        vstore_upto(param + i, p - rate * g / (vsqrt(mean) + eps), left);
    });
}

int FN(rmsprop_update)(int64_t count, nnf_tensor *tensors, double lr, double alpha, double eps,
                       double weight_decay) {
    const settings s = {.rate = (real)lr,
                        .decay = (real)weight_decay,
                        .eps = (real)eps,
                        .keep_sq = (real)alpha,
                        .rest_sq = (real)(1 - alpha)};
    return update_all(count, tensors, 0.6, rmsprop_step, &s);
}

static void adadelta_step(int64_t n, real *restrict param, const real *restrict grad,
                          real *restrict mean_sq, real *restrict mean_delta_sq, const settings *s) {
    const vec rate = vset1(s->rate), eps = vset1(s->eps);
    EACH_VECTOR(i, left, p, g, {
        const vec before = vload_upto(mean_delta_sq + i, left);
        const vec mean = mean_of_squares(s, vload_upto(mean_sq + i, left), g);
        const vec delta = vsqrt(before + eps) / vsqrt(mean + eps) * g;
        vstore_upto(mean_sq + i, mean, left);
        vstore_upto(mean_delta_sq + i, mean_of_squares(s, before, delta), left);
        vstore_upto(param + i, p - rate * delta, left);
    });
}

int FN(adadelta_update)(int64_t count, nnf_tensor *tensors, double lr, double rho, double eps,
                        double weight_decay) {
    const settings s = {.rate = (real)lr,
                        .decay = (real)weight_decay,
                        .eps = (real)eps,
                        .keep_sq = (real)rho,
                        .rest_sq = (real)(1 - rho)};
    return update_all(count, tensors, 1.0, adadelta_step, &s);
}

static void adam_step(int64_t n, real *restrict param, const real *restrict grad, real *restrict m,
                      real *restrict v, const settings *s) {
    const vec rate = vset1(s->rate), eps = vset1(s->eps), shrink = vset1(s->shrink);
    const vec keep = vset1(s->keep), rest = vset1(s->rest), scale = vset1(s->root_scale);
    EACH_VECTOR(i, left, p, g, {
        const vec mean = vfma(keep, vload_upto(m + i, left), rest * g);
        const vec mean_sq = mean_of_squares(s, vload_upto(v + i, left), g);
        vstore_upto(m + i, mean, left);
        vstore_upto(v + i, mean_sq, left);
        const vec change = rate * mean / vfma(vsqrt(mean_sq), scale, eps);
        vstore_upto(param + i, vfma(shrink, p, -change), left);
    });
}

/* Bias corrections belong to the rate and to the root. */
static int adam(int64_t count, nnf_tensor *tensors, int64_t step, double lr, double beta1,
                double beta2, double eps, double decay, double shrink) {
    const settings s = {
        .rate = (real)(lr / (1 - pow(beta1, (double)step))),
        .decay = (real)decay,
        .eps = (real)eps,
        .keep = (real)beta1,
        .rest = (real)(1 - beta1),
        .keep_sq = (real)beta2,
        .rest_sq = (real)(1 - beta2),
        .root_scale = (real)(1 / sqrt(1 - pow(beta2, (double)step))),
        .shrink = (real)shrink,
    };
    return update_all(count, tensors, 0.6, adam_step, &s);
}

int FN(adam_update)(int64_t count, nnf_tensor *tensors, int64_t step, double lr, double beta1,
                    double beta2, double eps, double weight_decay) {
    return adam(count, tensors, step, lr, beta1, beta2, eps, weight_decay, 1);
}

int FN(adamw_update)(int64_t count, nnf_tensor *tensors, int64_t step, double lr, double beta1,
                     double beta2, double eps, double weight_decay) {
    return adam(count, tensors, step, lr, beta1, beta2, eps, 0, 1 - lr * weight_decay);
}
