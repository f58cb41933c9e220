"""The Python that the MARGIN paper prints, with what no longer runs replaced: an oracle, line by line.

Anirudh et al., Frontiers in Big Data 4, 2021, Algorithm 1. Replaced: `G.degree().items()` (networkx 1), `np.float`
(NumPy before 1.24), and a one-dimensional f, for which the listing's product has the wrong shape.
"""

import networkx as nx
import numpy as np
from scipy.sparse import csr_matrix


def listing(adj, f, p=1):
    """Influence [n] of f [n] on the graph adj [n, n], a csr_matrix."""
    G = nx.Graph(adj)
    N = adj.shape[0]
    Dinv = np.zeros((N, N))
    for i, d in dict(G.degree()).items():
        Dinv[i, i] = 1 / float(d)
    Dinv = csr_matrix(Dinv)
    A_n = np.sqrt(Dinv) * adj * np.sqrt(Dinv)
    P = np.power(A_n, p)
    M = (P > 0).sum(axis=1)
    f = np.matrix(f).T
    f1 = (P * f) / M
    g = f1 - (P * f1) / M
    g = np.abs(g)
    return np.asarray(g / g.max()).ravel()
