"""Networks with a penalty that gives a layer's neurons a shape: their training, and what structure there is."""


rule shape:
    """Train a model's seeds of one block with a penalty on one of its layers."""
    input:
        data=PLAN.training_data,
    output:
        weights="results/models/{model}/{block}/weights.safetensors",
        training="results/models/{model}/{block}/training.parquet",
    log:
        "logs/shape/{model}/{block}.log",
    benchmark:
        "logs/shape/{model}/{block}.benchmark.jsonl"
    wildcard_constraints:
        model=PLAN.one_of(PLAN.models("shape")),
    threads: 1
    resources:
        mem_mb=PLAN.memory(1500),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.shape,
    script:
        "../scripts/shape.py"


rule weigh:
    """Choose the weights of a model's penalties by their accuracy on training samples held out."""
    input:
        data=PLAN.training_data,
    output:
        "results/models/{model}/choice.parquet",
    log:
        "logs/weigh/{model}.log",
    benchmark:
        "logs/weigh/{model}.benchmark.jsonl"
    wildcard_constraints:
        model=PLAN.one_of(PLAN.weighing()),
    threads: 1
    resources:
        mem_mb=PLAN.memory(2000),
        runtime=PLAN.runtime(120),
        gpu=PLAN.gpu,
    params:
        settings=PLAN.weigh,
    script:
        "../scripts/weigh.py"


rule regularise:
    """Train networks with penalties on one layer: all seeds of a block, variants, weights, and parts of the data."""
    input:
        data=PLAN.training_data,
        choice=PLAN.choice,
    output:
        weights="results/models/{model}/{block}/runs.safetensors",
        training="results/models/{model}/{block}/runs.parquet",
    log:
        "logs/regularise/{model}/{block}.log",
    benchmark:
        "logs/regularise/{model}/{block}.benchmark.jsonl"
    wildcard_constraints:
        model=PLAN.one_of(PLAN.models("regularise")),
    threads: 1
    resources:
        mem_mb=PLAN.memory(2000),
        runtime=PLAN.runtime(180),
        gpu=PLAN.gpu,
    params:
        settings=PLAN.regularise,
    script:
        "../scripts/regularise.py"


rule structure:
    """Whether the regularised layer follows its graph, beside the same nodes in random order."""
    input:
        weights=PLAN.weights,
        data=PLAN.data,
    output:
        structure="results/studies/{study}/{block}/structure.parquet",
        layers="results/studies/{study}/{block}/layers.safetensors",
    log:
        "logs/structure/{study}/{block}.log",
    benchmark:
        "logs/structure/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2000),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.structure,
    script:
        "../scripts/structure.py"
