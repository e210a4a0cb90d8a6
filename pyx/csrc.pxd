# csrc.pxd: the C API of csrc/nnfast.h as Cython sees it. Same kernels, same order as kernels.def
# (tests/test_structure.py compares them).

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

cdef extern from "nnfast.h" nogil:
    ctypedef enum nnf_dtype:
        NNF_F32
        NNF_F64

    ctypedef enum nnf_reduction:
        NNF_NONE
        NNF_SUM
        NNF_MEAN

    ctypedef enum nnf_activation:
        NNF_LINEAR
        NNF_RELU
        NNF_TANH

    int NNF_OK
    int NNF_NO_MEMORY
    int NNF_BAD_INDEX

    ctypedef struct nnf_conv:
        int64_t n, c, h, w
        int64_t k, kh, kw
        int64_t oh, ow
        int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w
        int64_t groups

    ctypedef struct nnf_pool:
        int64_t n, c, h, w
        int64_t kh, kw
        int64_t oh, ow
        int64_t stride_h, stride_w, pad_h, pad_w

    ctypedef struct nnf_tensor:
        int64_t n
        void *param
        const void *grad
        void *state[2]
        int64_t begin

    ctypedef struct nnf_recurrent:
        int64_t steps, batch, inputs, hidden
        int reverse

    ctypedef struct nnf_attention_dims:
        int64_t n, heads, tq, tk, d, dv
        int64_t ldq, ldk, ldv
        int causal
        double scale
        int64_t mask_n, mask_head, mask_q, mask_k

    const char *nnf_isa()
    int nnf_isa_count()
    const char *nnf_isa_name(int index)

    void nnf_set_threads(int n)
    int nnf_get_threads()
    int nnf_has_openmp()

    void *nnf_alloc(size_t size)
    void nnf_free(void *block)
    size_t nnf_block_size(const void *block)
    ctypedef struct nnf_memory_info:
        size_t in_use, cached, limit, peak
    nnf_memory_info nnf_memory()
    void nnf_trim()

    int nnf_relu(nnf_dtype dtype, int64_t n, const void *x, void *y)
    int nnf_relu_backward(nnf_dtype dtype, int64_t n, const void *dy, const void *x, void *dx)
    int nnf_leaky_relu(nnf_dtype dtype, int64_t n, double slope, const void *x, void *y)
    int nnf_leaky_relu_backward(nnf_dtype dtype, int64_t n, double slope, const void *dy,
                                const void *x, void *dx)
    int nnf_sigmoid(nnf_dtype dtype, int64_t n, const void *x, void *y)
    int nnf_sigmoid_backward(nnf_dtype dtype, int64_t n, const void *dy, const void *y, void *dx)
    int nnf_tanh(nnf_dtype dtype, int64_t n, const void *x, void *y)
    int nnf_tanh_backward(nnf_dtype dtype, int64_t n, const void *dy, const void *y, void *dx)

    int nnf_add(nnf_dtype dtype, int64_t n, const void *a, const void *b, int act, void *y)

    int nnf_gelu(nnf_dtype dtype, int64_t n, int tanh_form, const void *x, void *y)
    int nnf_gelu_backward(nnf_dtype dtype, int64_t n, int tanh_form, const void *dy,
                          const void *x, void *dx)

    int nnf_softmax(nnf_dtype dtype, int64_t rows, int64_t cols, const void *x, void *y)
    int nnf_softmax_backward(nnf_dtype dtype, int64_t rows, int64_t cols, const void *dy,
                             const void *y, void *dx)
    int nnf_log_softmax(nnf_dtype dtype, int64_t rows, int64_t cols, const void *x, void *y)
    int nnf_log_softmax_backward(nnf_dtype dtype, int64_t rows, int64_t cols, const void *dy,
                                 const void *y, void *dx)

    int nnf_cross_entropy(nnf_dtype dtype, int64_t rows, int64_t cols, const void *x,
                          const int64_t *labels, const void *target, const void *weight,
                          int64_t ignore_index, double smoothing, nnf_reduction reduction,
                          void *loss, void *lse)
    int nnf_cross_entropy_backward(nnf_dtype dtype, int64_t rows, int64_t cols, const void *x,
                                   const int64_t *labels, const void *target, const void *lse,
                                   const void *weight, const void *dloss, int64_t ignore_index,
                                   double smoothing, nnf_reduction reduction, double factor,
                                   void *dx)
    int nnf_mse_loss(nnf_dtype dtype, int64_t n, const void *x, const void *target,
                     nnf_reduction reduction, void *loss)
    int nnf_mse_loss_backward(nnf_dtype dtype, int64_t n, const void *x, const void *target,
                              const void *dloss, double factor, void *dx)

    int nnf_dropout(nnf_dtype dtype, int64_t n, double p, uint64_t seed, uint64_t offset,
                    const void *x, void *y)
    int nnf_dropout_backward(nnf_dtype dtype, int64_t n, double p, uint64_t seed, uint64_t offset,
                             const void *dy, void *dx)

    int nnf_sgd_update(nnf_dtype dtype, int64_t count, nnf_tensor *t, double lr,
                       double weight_decay)
    int nnf_momentum_update(nnf_dtype dtype, int64_t count, nnf_tensor *t, double lr,
                            double momentum, double weight_decay, int nesterov)
    int nnf_adagrad_update(nnf_dtype dtype, int64_t count, nnf_tensor *t, double lr, double eps,
                           double weight_decay)
    int nnf_rmsprop_update(nnf_dtype dtype, int64_t count, nnf_tensor *t, double lr, double alpha,
                           double eps, double weight_decay)
    int nnf_adadelta_update(nnf_dtype dtype, int64_t count, nnf_tensor *t, double lr, double rho,
                            double eps, double weight_decay)
    int nnf_adam_update(nnf_dtype dtype, int64_t count, nnf_tensor *t, int64_t step, double lr,
                        double beta1, double beta2, double eps, double weight_decay)
    int nnf_adamw_update(nnf_dtype dtype, int64_t count, nnf_tensor *t, int64_t step, double lr,
                         double beta1, double beta2, double eps, double weight_decay)

    int nnf_im2col(nnf_dtype dtype, const nnf_conv *d, const void *x, void *col)
    int nnf_col2im(nnf_dtype dtype, const nnf_conv *d, const void *col, void *x)

    int nnf_gemm(nnf_dtype dtype, int transpose_a, int transpose_b, int64_t m, int64_t n,
                 int64_t k, const void *a, const void *b, const void *bias, int act, void *y)
    int nnf_linear(nnf_dtype dtype, int64_t n, int64_t inputs, int64_t outputs, const void *x,
                   const void *weight, const void *bias, int act, void *y)
    int nnf_linear_backward(nnf_dtype dtype, int64_t n, int64_t inputs, int64_t outputs,
                            const void *dy, const void *x, const void *weight, const void *y,
                            int act, void *dx, void *dweight, void *dbias)

    int nnf_conv2d(nnf_dtype dtype, const nnf_conv *d, int algo, const void *x,
                   const void *weight, const void *scale, const void *bias, int act, void *y)
    int nnf_conv2d_backward(nnf_dtype dtype, const nnf_conv *d, int algo, const void *dy,
                            const void *x, const void *weight, void *dx, void *dweight,
                            void *dbias)

    int nnf_conv_transpose2d(nnf_dtype dtype, const nnf_conv *d, const void *x, const void *weight,
                             const void *bias, int act, void *y)
    int nnf_conv_transpose2d_backward(nnf_dtype dtype, const nnf_conv *d, const void *dy,
                                      const void *x, const void *weight, void *dx, void *dweight,
                                      void *dbias)

    int nnf_max_pool2d(nnf_dtype dtype, const nnf_pool *p, const void *x, int act, void *y,
                       uint8_t *index8, int32_t *index32)
    int nnf_max_pool2d_backward(nnf_dtype dtype, const nnf_pool *p, const void *dy,
                                const uint8_t *index8, const int32_t *index32, void *dx)
    int nnf_avg_pool2d(nnf_dtype dtype, const nnf_pool *p, int count_include_pad, const void *x,
                       void *y)
    int nnf_avg_pool2d_backward(nnf_dtype dtype, const nnf_pool *p, int count_include_pad,
                                const void *dy, void *dx)
    int nnf_global_avg_pool2d(nnf_dtype dtype, int64_t planes, int64_t size, const void *x, void *y)
    int nnf_global_avg_pool2d_backward(nnf_dtype dtype, int64_t planes, int64_t size,
                                       const void *dy, void *dx)

    int nnf_batch_norm(nnf_dtype dtype, int64_t n, int64_t c, int64_t s, double eps, const void *x,
                       const void *weight, const void *bias, int act, void *y, void *mean,
                       void *var)
    int nnf_batch_norm_inference(nnf_dtype dtype, int64_t n, int64_t c, int64_t s, double eps,
                                 const void *x, const void *mean, const void *var,
                                 const void *weight, const void *bias, int act, void *y)
    int nnf_batch_norm_backward(nnf_dtype dtype, int64_t n, int64_t c, int64_t s, double eps,
                                const void *dy, const void *x, const void *mean, const void *var,
                                const void *weight, const void *bias, int act, void *dx,
                                void *dweight, void *dbias)
    int nnf_batch_norm_update(nnf_dtype dtype, int64_t c, int64_t count, double momentum,
                              const void *mean, const void *var, void *running_mean,
                              void *running_var)

    int nnf_layer_norm(nnf_dtype dtype, int64_t rows, int64_t cols, double eps, const void *x,
                       const void *weight, const void *bias, void *y, void *mean, void *rstd)
    int nnf_layer_norm_backward(nnf_dtype dtype, int64_t rows, int64_t cols, const void *dy,
                                const void *x, const void *mean, const void *rstd,
                                const void *weight, void *dx, void *dweight, void *dbias)

    int nnf_embedding(nnf_dtype dtype, int64_t n, int64_t dim, int64_t rows,
                      const int64_t *indices, const void *weight, void *y)
    int nnf_embedding_backward(nnf_dtype dtype, int64_t n, int64_t dim, int64_t rows,
                               const void *dy, const int64_t *indices, void *dweight)
    int nnf_embedding_backward_rows(nnf_dtype dtype, int64_t n, int64_t dim, int64_t rows,
                                    const void *dy, const int64_t *indices, int64_t *found,
                                    int64_t *count, void *values)

    int nnf_reduce_sum(nnf_dtype dtype, int64_t outer, int64_t len, int64_t inner, const void *x,
                       void *y)
    int nnf_reduce_mean(nnf_dtype dtype, int64_t outer, int64_t len, int64_t inner, const void *x,
                        void *y)
    int nnf_reduce_max(nnf_dtype dtype, int64_t outer, int64_t len, int64_t inner, const void *x,
                       void *y)

    int nnf_lstm(nnf_dtype dtype, const nnf_recurrent *d, const void *x, const void *weight_ih,
                 const void *weight_hh, const void *bias_ih, const void *bias_hh, const void *h0,
                 const void *c0, void *y, void *gates, void *cells)
    int nnf_lstm_backward(nnf_dtype dtype, const nnf_recurrent *d, const void *dy, const void *x,
                          const void *weight_ih, const void *weight_hh, const void *y,
                          const void *gates, const void *cells, const void *h0, const void *c0,
                          const void *dhn, const void *dcn, void *dx, void *dweight_ih,
                          void *dweight_hh, void *dbias_ih, void *dbias_hh, void *dh0, void *dc0)

    int nnf_rnn(nnf_dtype dtype, const nnf_recurrent *d, int act, const void *x,
                const void *weight_ih, const void *weight_hh, const void *bias_ih,
                const void *bias_hh, const void *h0, void *y)
    int nnf_rnn_backward(nnf_dtype dtype, const nnf_recurrent *d, int act, const void *dy,
                         const void *x, const void *weight_ih, const void *weight_hh,
                         const void *y, const void *h0, const void *dhn, void *dx,
                         void *dweight_ih, void *dweight_hh, void *dbias_ih, void *dbias_hh,
                         void *dh0)

    int nnf_gru(nnf_dtype dtype, const nnf_recurrent *d, const void *x, const void *weight_ih,
                const void *weight_hh, const void *bias_ih, const void *bias_hh, const void *h0,
                void *y, void *gates, void *inner)
    int nnf_gru_backward(nnf_dtype dtype, const nnf_recurrent *d, const void *dy, const void *x,
                         const void *weight_ih, const void *weight_hh, const void *y,
                         const void *gates, const void *inner, const void *h0, const void *dhn,
                         void *dx, void *dweight_ih, void *dweight_hh, void *dbias_ih,
                         void *dbias_hh, void *dh0)

    int nnf_attention(nnf_dtype dtype, const nnf_attention_dims *a, const void *q, const void *k,
                      const void *v, const uint8_t *keep, const void *bias, void *y, void *lse)
    int nnf_attention_backward(nnf_dtype dtype, const nnf_attention_dims *a, const void *dy,
                               const void *q, const void *k, const void *v, const uint8_t *keep,
                               const void *bias, const void *y, const void *lse, void *dq,
                               void *dk, void *dv)
