"""Networks: trained, a whole block of seeds in one job, or taken as they were published."""


rule train:
    """Train a model's seeds of one block; weights of all of them, and how training went."""
    input:
        data=PLAN.training_data,
    output:
        weights="results/models/{model}/{block}/weights.safetensors",
        training="results/models/{model}/{block}/training.parquet",
    log:
        "logs/train/{model}/{block}.log",
    benchmark:
        "logs/train/{model}/{block}.benchmark.jsonl"
    wildcard_constraints:
        model=PLAN.one_of(PLAN.models("train")),
    threads: 1
    resources:
        mem_mb=PLAN.memory(1200),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.train,
    script:
        "../scripts/train.py"


rule fit:
    """Fit a perceptron's seeds of one block to a table or to images; weights of all of them, and how it went."""
    input:
        data=PLAN.training_data,
    output:
        weights="results/models/{model}/{block}/weights.safetensors",
        training="results/models/{model}/{block}/training.parquet",
    log:
        "logs/fit/{model}/{block}.log",
    benchmark:
        "logs/fit/{model}/{block}.benchmark.jsonl"
    wildcard_constraints:
        model=PLAN.one_of(PLAN.models("fit")),
    threads: 1
    resources:
        mem_mb=PLAN.memory(1200),
        runtime=PLAN.runtime(30),
    params:
        settings=PLAN.fit,
    script:
        "../scripts/fit.py"


rule classifier:
    """Train a convolutional classifier's seeds of one block; weights of all of them, and how it went."""
    input:
        data=PLAN.training_data,
    output:
        weights="results/models/{model}/{block}/weights.safetensors",
        training="results/models/{model}/{block}/training.parquet",
    log:
        "logs/classifier/{model}/{block}.log",
    benchmark:
        "logs/classifier/{model}/{block}.benchmark.jsonl"
    wildcard_constraints:
        model=PLAN.one_of(PLAN.models("classifier")),
    threads: 1
    resources:
        mem_mb=PLAN.memory(1500),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.classifier,
    script:
        "../scripts/classifier.py"


rule convert:
    """Weights of a network that exists, from its published files."""
    input:
        files=PLAN.raw_files,
    output:
        "results/models/{model}/{block}/weights.safetensors",
    log:
        "logs/convert/{model}/{block}.log",
    wildcard_constraints:
        model=PLAN.one_of(PLAN.models("convert")),
    threads: 1
    resources:
        mem_mb=PLAN.memory(1500),
        runtime=PLAN.runtime(10),
    params:
        settings=PLAN.convert,
    script:
        "../scripts/convert.py"
