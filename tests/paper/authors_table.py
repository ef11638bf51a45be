"""The authors' table in small: their best LSTM on text8 and a row of NaNs, as arrays and as Python 2 wrote them."""

import base64
import math
import zlib

import numpy as np

FIELDS = "architecture eval_loss hparams max_params n_layers num_params task_type train_loss valid_loss hyper_iter"
ORDER = FIELDS.split()  # of the published arrays
# As published, to the digits that are printed there. max_params, hyper_iter and two losses are made up.
LSTM = {
    "architecture": "lstm",
    "eval_loss": 1.549270,
    "hparams": {
        "recurrent_bias_scale_o": 1.2967042923,
        "recurrent_bias_scale_i": -0.250855892897,
        "recurrent_bias_scale_g": 0.631270706654,
        "recurrent_bias_scale_c": -1.62440180779,
        "input_scale_c": 0.209308668971,
        "input_scale_g": 0.222167253494,
        "optimizer_logit_momentum": 5.89666414261,
        "recurrent_matrix_init_type": "orthogonal",
        "input_scale_i": 1.20329034328,
        "lr_decay_rate": 0.108852244914,
        "input_scale_o": 0.407466441393,
        "train_steps": 1176212,
        "forget_gate_bias_hack": 4.88674783707,
        "recurrent_bias_init_type": "delta",
        "lr_init": 0.00398490205407,
        "optimizer": "RMSProp",
        "gradient_clip_val": 27.6603736877,
        "recurrent_matrix_scale_g": 0.035970274359,
        "recurrent_matrix_scale_c": 0.619497835636,
        "recurrent_matrix_scale_o": 0.0714097246528,
        "recurrent_matrix_scale_i": 0.520125091076,
        "l2_decay": 1.79227910735e-07,
    },
    "max_params": 1_270_000,
    "n_layers": 4,
    "num_params": 1_268_217,
    "task_type": "text8",
    "train_loss": 1.5,
    "valid_loss": 1.55,
    "hyper_iter": 17,
}
DIVERGED = {
    "architecture": "+rnn",
    "eval_loss": math.nan,
    "hparams": {
        "lr_init": np.float64(0.01),
        "train_steps": np.int64(50000),
        "optimizer": np.bytes_(b"SGD"),
        "f4": np.float32(0.5),
    },
    "max_params": 10_000,
    "n_layers": 8,
    "num_params": 9984,
    "task_type": "text8",
    "train_loss": math.nan,
    "valid_loss": math.inf,
    "hyper_iter": 0,
}


def table(*rows, strings="O", order=ORDER):
    """Rows as a structured array; strings are objects, or of a length ("S16")."""
    types = {name: "f8" if "loss" in name else "i8" for name in order}
    types |= {"hparams": "O", "architecture": strings, "task_type": strings}
    return np.array([tuple(row[name] for name in order) for row in rows], [(name, types[name]) for name in order])


# The two rows, written by Python 2.7.18 and NumPy 1.11.3: at protocol 0 with strings of fixed length, at protocol 2
# with strings as objects.
_WRITTEN = {
    0: (
        "eNp9Vdtq40gQfe8fiWGJ6fsFFvZl8eCHyQ4TmCeD6MiKIkaWREsenNn9+K3TcmxlkkzAsbv61KnqU9XVZXc8DM/rsk/V+nBspyamFJ9Zkaqy78"
        "YpHcuJDZytyoxj3X7eHwRbbTmbBsnubx5u2KDot2ZfB0N27ElaW3b22k/PQ8UGx1b3N9+CJLhn5E3AaQjkJCjAVhHTf7QlBLsjXEzlUzNV5XRM"
        "FawIVP2IbdH24wgD8E9DTPGQl5qWh3gqrhZDlq5o43OV8tpifTwsEI4sUxy/F8gPBg9Dik13iRLIQlGb/YtFcsQlfCoovQQLjiElW+0HqVhNLq"
        "s6H/XRY1dfjioNnVXa81n/xKZjd3d321vB8icL6tnD1nr8CmysKcczWwM2xS9sShCbkgs2pd6wKU1sWuOXITZKdVWTz9Znk0UAezbRikwOJv0S"
        "858c81oshWrpZbW0eBXT5j6QFFQivFag8y9098LC5aqIhiLaLvlmRSir7fkIGoIY9JPOgsgrGzrJXBUxUMTIBZuZFSGfFzYDQfKPrAcdpaaKbB"
        "0Ob7Ie5qyHRA1M1kOdUQJZGM/GbZgZqX5kCKAkpnawHIm143Sg4FawjVgbHQhFvWHRwXStjilV3VQ8NHEsxjK2VdEDrACWwTquZaA+Gu9v+mFq"
        "Ds3P3GQW/f318/2X1A9YGgDeZWuwbdnmlq+l4d4YH6QP7kN8DbxjG762SkjHHbeWVPoIXgLuiV6srdSaC8+dC4A33XCclqgAUsmD4t5aSkEAVa"
        "e4b8BZts1Q0NUipONsI93aWq6cst65X+mQI7mDTkphnTRKB/1KI7qfdTMVh/5A5Efo7yTbmLUP1lottLTi9ZkOcUrNqWg68jrff4e+6dP01Nd9"
        "N2emf00F8jqTi8WVDFxpRZ1CoDYV+6qMz0WKUyazyFdw740koYJ4Q4W6u6y85k5TllqokCs/z6BxqgaMHEcXUAhnJfUfbT72qa6moqYwc2GeYv"
        "kdMNJbr723TjuvqJDvnvcqqOcIzZUJjkun6fudoi/l8YLk2VftFLGQv6FH+b3KPSWCDpSOsZg2HzpACppJyMcJzYOT2pqLrkgCAJMBXAWvA5fc"
        "6N+eEZXyuQhGckF3IQjuchKtnEsFgEMpXZDSYVuZ6hakW9wE+mNbjWtvvZwfi+o0YSR6n692/mcIgDHgA4t0+f9IXUeIQOJ2scPFD4J9u7Qp7c"
        "jzs/jm0UXaEQh1GXEKVNd5GTAvw3JehnleqsuACzQuyfHT39gMZBB0Cjyxuf0fNR41Lll9DXK2qUsUwXX2MIu3RXD75nEhvRBrd+L85fNXhvq8"
        "mV92etrHmgo3x5N4g//dnYTenWL1aXeqxM/dyevsJnJs6nG44eGgvp/dFEbnl92pVMtYy0/219nfZH+LGs4VpNsTqGMW5aPLNFdn03SP57PQKx"
        "XxRcN8/T++DnYq"
    ),
    2: (
        "eNp1VE1sG0UUnsRJbW8TN66TNqSUGgrEUEhDU8ClP2sgMCVL0nTDpC20Xa/XG882++M3O67iQgQHugWpNxBHFCE4cKCHXisUJCQEVVERR1CkIj"
        "ggJFAFlWiEkBl7nYQo8hxWb/a973s/8957q91wK065OmR4zBxyKja3dMb0qqQx0/Bcn7OKwSVAoZXkFkMttCnoIrSTtgJELkGHCp0ZpU1pvwib"
        "moZFXi2bEkRJZDo7DDEFKW2XIK6ClFEipO0N2DyRIV06M6jFTYNXmAldJG6e123N9nwfukmUlnWmOz4kiOToc1rztoXEXM3WqybzoYdIwtmKJk"
        "niXPdntbpj2EokznTLDdlSRBLMVjG89RKJChumCdcM+jhsm4ftGZqiUdI+k4X+MNZ7VBhoxHoIdkxMTIzVxGl8FMTh3oKSDWAnTdYxVhbuCzG7"
        "VEg3MfdvwDxQUDIB7KZ9NK0cDeBB2iOEdAAP0USd5VgWHg5ZBlXINKv0yHoWmcOjBaUngD10K80owwE8RruEgAJ4nPbSASUXwBDdInj7A9hLu8"
        "WfWADDFWVSPM4ODk8U3j0D+zIZ0mH73IERLN/95ub0b1/n52F/hmwTL15hzHS5VrB0X/MN3TY1D57E8p3FcYSGDBL3ytxyrAuibk+RqDo+Ncm8"
        "MjzdAmpBFi9+l+i8hfqrLUxKcADLv4ycXUCJXAsTA57Bi8v/Xv4CnThNui23XOGrmoNYvn59Qav9fZwkS0wvWnWsYVtlTbw3HMK5g58m5NrNuf"
        "W4EhzG8g1vuVb7MUr6V1MS3VGyuOZ4jmCpOHAE57Z/sDeNOu+SgbXIHJ0za06zXGHaaDWZSB7j1Ct5rvCZW+/Kgmex/FfuM6125Q7ptplWNA29"
        "qjGdm/Aclq8tfb6Azn+1HuPB81j+IfVHGkV3k81hG/vcLPswOvb+n0lE+mY8VjK5VhIsYaWobszCCziXuhwVlbxG+jfEu5L5i1j+6NzVNNq09H"
        "+jBslaSph0Fk2b63C0JZMBL2H55+9/31X7Z2dLIw/GsHwV/5pH8cMkKrKvuwAFy2V1rlZbfq8l0IKXsXzr46U8inxIYva+sGwwjo+8kziQR8lP"
        "KmO38ymkdIwtn0oh0snNOZ6FCdHPqHGEcKN+vlWSHI6Jft/DXBcmca2pn4fjmZNxIaz1s9piD9YD0pkEU/UhnRqBV8IhJSpMN4f0hBhSJSImTA"
        "z5yQKJTOFROBXAqyq8JhbKfjhNG1ghnQmxZ1XQmmsiv2FN6AXSIQKToRCAoUKRKgI+QGKv917BP114WwYzgBkVSnRU/E+T2OSXYUpAA7BUOFcZ"
        "7xlUYuNocKUqs6tZ4zdvh0Ldj21ycApD/wHLETHf"
    ),
}
PYTHON_2 = {protocol: zlib.decompress(base64.b64decode(text)) for protocol, text in _WRITTEN.items()}
