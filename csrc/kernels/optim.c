/* optim.c: one optimizer step in one pass, in place, over tensors of n elements each: param, its
 * gradient and the optimizer's state, all (n) and none overlapping another. Formulas as in PyTorch.
 */
#include "real.h"

#if NNF_DTYPE_BITS == 32
#define root sqrtf
#else
#define root sqrt
#endif

/* The gradient with weight decay; without it an infinite parameter must not make it NaN. */
static inline real decayed(real grad, real param, real decay) {
    return decay != 0 ? grad + decay * param : grad;
}

/* All tensors, one after the other and each from a whole cache line, are cut into chunks; body is
 * run for the part [begin, end) of the tensor t in a chunk, `ns` nanoseconds an element. */
#define TENSORS(t, begin, end, count, tensors, ns, ...)                                            \
    do {                                                                                           \
        const int64_t total_ = lay_out((count), (tensors)), size_ = chunk_of(total_);              \
        PARALLEL_FOR(chunk_, ceil_div(total_, size_), (ns) * (double)total_, {                     \
            const int64_t first_ = chunk_ * size_, last_ = MIN(first_ + size_, total_);            \
            for (int64_t i_ = tensor_at((count), (tensors), first_);                               \
                 i_ < (count) && (tensors)[i_].begin < last_; i_++) {                              \
                const nnf_tensor *const t = (tensors) + i_;                                        \
                const int64_t begin = MAX(first_ - t->begin, 0),                                   \
                              end = MIN(last_ - t->begin, t->n);                                   \
                __VA_ARGS__;                                                                       \
            }                                                                                      \
        });                                                                                        \
    } while (0)

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

static void sgd_range(int64_t begin, int64_t end, real *restrict param, const real *restrict grad,
                      real lr, real decay) {
    for (int64_t i = begin; i < end; i++)
        param[i] -= lr * decayed(grad[i], param[i], decay);
}

int FN(sgd_update)(int64_t count, nnf_tensor *tensors, double lr, double weight_decay) {
    TENSORS(t, begin, end, count, tensors, 0.3,
            sgd_range(begin, end, t->param, t->grad, (real)lr, (real)weight_decay));
    return NNF_OK;
}

static void momentum_range(int64_t begin, int64_t end, real *restrict param,
                           const real *restrict grad, real *restrict velocity, real lr,
                           real momentum, real decay) {
    for (int64_t i = begin; i < end; i++) {
        velocity[i] = momentum * velocity[i] + decayed(grad[i], param[i], decay);
        param[i] -= lr * velocity[i];
    }
}

static void nesterov_range(int64_t begin, int64_t end, real *restrict param,
                           const real *restrict grad, real *restrict velocity, real lr,
                           real momentum, real decay) {
    for (int64_t i = begin; i < end; i++) {
        const real g = decayed(grad[i], param[i], decay);
        velocity[i] = momentum * velocity[i] + g;
        param[i] -= lr * (g + momentum * velocity[i]);
    }
}

int FN(momentum_update)(int64_t count, nnf_tensor *tensors, double lr, double momentum,
                        double weight_decay, int nesterov) {
    const real rate = (real)lr, mu = (real)momentum, decay = (real)weight_decay;
    TENSORS(t, begin, end, count, tensors, 0.5, {
        if (nesterov)
            nesterov_range(begin, end, t->param, t->grad, t->state[0], rate, mu, decay);
        else
            momentum_range(begin, end, t->param, t->grad, t->state[0], rate, mu, decay);
    });
    return NNF_OK;
}

static void adagrad_range(int64_t begin, int64_t end, real *restrict param,
                          const real *restrict grad, real *restrict sum_sq, real lr, real eps,
                          real decay) {
    for (int64_t i = begin; i < end; i++) {
        const real g = decayed(grad[i], param[i], decay);
        sum_sq[i] += g * g;
        param[i] -= lr * g / (root(sum_sq[i]) + eps);
    }
}

int FN(adagrad_update)(int64_t count, nnf_tensor *tensors, double lr, double eps,
                       double weight_decay) {
    TENSORS(t, begin, end, count, tensors, 0.6,
            adagrad_range(begin, end, t->param, t->grad, t->state[0], (real)lr, (real)eps,
                          (real)weight_decay));
    return NNF_OK;
}

static void rmsprop_range(int64_t begin, int64_t end, real *restrict param,
                          const real *restrict grad, real *restrict mean_sq, real lr, real alpha,
                          real rest, real eps, real decay) {
    for (int64_t i = begin; i < end; i++) {
        const real g = decayed(grad[i], param[i], decay);
        mean_sq[i] = alpha * mean_sq[i] + rest * g * g;
        param[i] -= lr * g / (root(mean_sq[i]) + eps);
    }
}

int FN(rmsprop_update)(int64_t count, nnf_tensor *tensors, double lr, double alpha, double eps,
                       double weight_decay) {
    TENSORS(t, begin, end, count, tensors, 0.6,
            rmsprop_range(begin, end, t->param, t->grad, t->state[0], (real)lr, (real)alpha,
                          (real)(1 - alpha), (real)eps, (real)weight_decay));
    return NNF_OK;
}

static void adadelta_range(int64_t begin, int64_t end, real *restrict param,
                           const real *restrict grad, real *restrict mean_sq,
                           real *restrict mean_delta_sq, real lr, real rho, real rest, real eps,
                           real decay) {
    for (int64_t i = begin; i < end; i++) {
        const real g = decayed(grad[i], param[i], decay);
        mean_sq[i] = rho * mean_sq[i] + rest * g * g;
        const real delta = root(mean_delta_sq[i] + eps) / root(mean_sq[i] + eps) * g;
        mean_delta_sq[i] = rho * mean_delta_sq[i] + rest * delta * delta;
        param[i] -= lr * delta;
    }
}

int FN(adadelta_update)(int64_t count, nnf_tensor *tensors, double lr, double rho, double eps,
                        double weight_decay) {
    TENSORS(t, begin, end, count, tensors, 1.0,
            adadelta_range(begin, end, t->param, t->grad, t->state[0], t->state[1], (real)lr,
                           (real)rho, (real)(1 - rho), (real)eps, (real)weight_decay));
    return NNF_OK;
}

/* The constants of one Adam step: bias corrections belong to the rate and to the root. */
typedef struct {
    real rate, beta1, rest1, beta2, rest2, root_scale, eps, decay, shrink;
} adam_step;

static void adam_range(int64_t begin, int64_t end, real *restrict param, const real *restrict grad,
                       real *restrict m, real *restrict v, adam_step s) {
    for (int64_t i = begin; i < end; i++) {
        const real g = decayed(grad[i], param[i], s.decay);
        m[i] = s.beta1 * m[i] + s.rest1 * g;
        v[i] = s.beta2 * v[i] + s.rest2 * g * g;
        param[i] = s.shrink * param[i] - s.rate * m[i] / (root(v[i]) * s.root_scale + s.eps);
    }
}

static int adam(int64_t count, nnf_tensor *tensors, int64_t step, double lr, double beta1,
                double beta2, double eps, double decay, double shrink) {
    const adam_step s = {
        .rate = (real)(lr / (1 - pow(beta1, (double)step))),
        .beta1 = (real)beta1,
        .rest1 = (real)(1 - beta1),
        .beta2 = (real)beta2,
        .rest2 = (real)(1 - beta2),
        .root_scale = (real)(1 / sqrt(1 - pow(beta2, (double)step))),
        .eps = (real)eps,
        .decay = (real)decay,
        .shrink = (real)shrink,
    };
    TENSORS(t, begin, end, count, tensors, 0.6,
            adam_range(begin, end, t->param, t->grad, t->state[0], t->state[1], s));
    return NNF_OK;
}

int FN(adam_update)(int64_t count, nnf_tensor *tensors, int64_t step, double lr, double beta1,
                    double beta2, double eps, double weight_decay) {
    return adam(count, tensors, step, lr, beta1, beta2, eps, weight_decay, 1);
}

int FN(adamw_update)(int64_t count, nnf_tensor *tensors, int64_t step, double lr, double beta1,
                     double beta2, double eps, double weight_decay) {
    return adam(count, tensors, step, lr, beta1, beta2, eps, 0, 1 - lr * weight_decay);
}
