"""im2col, col2im and small helpers in plain NumPy."""

import numpy as np


def smooth_curve(x):
    padded = np.concatenate([x[10:0:-1], x, x[:-11:-1]])
    window = np.kaiser(11, 2)
    return np.convolve(window / window.sum(), padded, mode="valid")[5:-5]


def shuffle_dataset(x, t):
    order = np.random.permutation(len(x))
    return x[order], t[order]


def conv_output_size(input_size, filter_size, stride=1, pad=0):
    return (input_size + 2 * pad - filter_size) / stride + 1


def im2col(input_data, filter_h, filter_w, stride=1, pad=0):
    n, c, h, w = input_data.shape
    out_h, out_w = (h + 2 * pad - filter_h) // stride + 1, (w + 2 * pad - filter_w) // stride + 1
    framed = np.zeros((n, c, h + 2 * pad, w + 2 * pad))
    framed[:, :, pad : pad + h, pad : pad + w] = input_data
    rows = np.empty((n, out_h, out_w, c, filter_h, filter_w))
    for i in range(out_h):
        for j in range(out_w):
            top, left = i * stride, j * stride
            rows[:, i, j] = framed[:, :, top : top + filter_h, left : left + filter_w]
    return rows.reshape(n * out_h * out_w, -1)


def col2im(col, input_shape, filter_h, filter_w, stride=1, pad=0):
    n, c, h, w = input_shape
    out_h, out_w = (h + 2 * pad - filter_h) // stride + 1, (w + 2 * pad - filter_w) // stride + 1
    rows = col.reshape(n, out_h, out_w, c, filter_h, filter_w)
    framed = np.zeros((n, c, h + 2 * pad, w + 2 * pad))
    for y in range(filter_h):  # in this order overlaps add up in the book too
        for x in range(filter_w):
            down = slice(y, y + (out_h - 1) * stride + 1, stride)
            right = slice(x, x + (out_w - 1) * stride + 1, stride)
            framed[:, :, down, right] += rows[..., y, x].transpose(0, 3, 1, 2)
    return framed[:, :, pad : pad + h, pad : pad + w]
