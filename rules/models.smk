"""Training: one job trains a whole block of seeds in one batched pass."""


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
    threads: 1
    resources:
        mem_mb=PLAN.memory(1200),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.train,
    script:
        "../scripts/train.py"
