"""From published bytes to arrays: `download`, `pack` and `blob` check every hash; `prepare` reads images, `tabulate` tables, `link` graphs.

These jobs go first: then all trainings are ready, and no core is idle behind a long one.
"""


rule download:
    """Fetch one file of a dataset from INTERNEURON_MIRROR or the first of its URLs that answers with the right bytes."""
    output:
        "data/raw/{dataset}/{file}",
    log:
        "logs/download/{dataset}/{file}.log",
    wildcard_constraints:
        dataset=PLAN.one_of(PLAN.sources("download")),
    priority: 1
    threads: 1
    resources:
        mem_mb=PLAN.memory(300),
        runtime=PLAN.runtime(30),
    params:
        settings=PLAN.download,
    script:
        "../scripts/download.py"


rule pack:
    """Fetch many files from INTERNEURON_MIRROR or the first address that has all of them, checked, into one tar."""
    output:
        "data/raw/{dataset}/{file}",
    log:
        "logs/pack/{dataset}/{file}.log",
    wildcard_constraints:
        dataset=PLAN.one_of(PLAN.sources("pack")),
    priority: 1
    threads: 1
    resources:
        mem_mb=PLAN.memory(300),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.pack,
    script:
        "../scripts/pack.py"


rule blob:
    """Fetch one file that only a git repository publishes a hash of, from INTERNEURON_MIRROR or one of its URLs."""
    output:
        "data/raw/{dataset}/{file}",
    log:
        "logs/blob/{dataset}/{file}.log",
    wildcard_constraints:
        dataset=PLAN.one_of(PLAN.sources("blob")),
    priority: 1
    threads: 1
    resources:
        mem_mb=PLAN.memory(300),
        runtime=PLAN.runtime(30),
    params:
        settings=PLAN.blob,
    script:
        "../scripts/blob.py"


rule prepare:
    """Read a dataset's files into one table of images, classes and split."""
    input:
        files=PLAN.raw_files,
    output:
        "data/prepared/{dataset}.safetensors",
    log:
        "logs/prepare/{dataset}.log",
    wildcard_constraints:
        dataset=PLAN.one_of(PLAN.datasets("prepare")),
    priority: 1
    threads: 1
    resources:
        mem_mb=PLAN.memory(700),
        runtime=PLAN.runtime(10),
    params:
        settings=PLAN.prepare,
    script:
        "../scripts/prepare.py"


rule tabulate:
    """Read a dataset's files, or generate its samples: one table of features, classes and split."""
    input:
        files=PLAN.raw_files,
    output:
        "data/prepared/{dataset}.safetensors",
    log:
        "logs/tabulate/{dataset}.log",
    wildcard_constraints:
        dataset=PLAN.one_of(PLAN.datasets("tabulate")),
    priority: 1
    threads: 1
    resources:
        mem_mb=PLAN.memory(500),
        runtime=PLAN.runtime(10),
    params:
        settings=PLAN.tabulate,
    script:
        "../scripts/tabulate.py"


rule link:
    """Read a graph with features and classes of its nodes: links as listed, features as CSR, classes and split."""
    input:
        files=PLAN.raw_files,
    output:
        "data/prepared/{dataset}.safetensors",
    log:
        "logs/link/{dataset}.log",
    wildcard_constraints:
        dataset=PLAN.one_of(PLAN.datasets("link")),
    priority: 1
    threads: 1
    resources:
        mem_mb=PLAN.memory(500),
        runtime=PLAN.runtime(10),
    params:
        settings=PLAN.link,
    script:
        "../scripts/link.py"
