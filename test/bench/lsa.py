"""Latent semantic analysis: vectors of texts without a model.

A text is a row of TF-IDF weights of its character 3- to 5-grams, and its
vector what a truncated singular value decomposition of the base keeps of that
(Deerwester et al., "Indexing by Latent Semantic Analysis", 1990).  Such
vectors are hard to search: HNSW needs wide beams.
"""

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

# Grams that fewer texts have say little and cost much.
LEAST_TEXTS = 5
# One seed, so that the vectors are the same but for rounding.
SEED = 1


def embed(base, queries, dimensions):
    """Return float32 rows of length one for both lists of texts."""
    weights = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5),
                              min_df=LEAST_TEXTS, sublinear_tf=True,
                              dtype=np.float32)
    svd = TruncatedSVD(dimensions, n_iter=2, random_state=SEED)
    rows = svd.fit_transform(weights.fit_transform(base))
    return unit(rows), unit(svd.transform(weights.transform(queries)))


def unit(rows):
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    # a text of no known gram has no direction; it stays zero
    return (rows / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(
        np.float32)
