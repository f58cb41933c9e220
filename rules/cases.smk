"""Studies of a kind of their own: active learning on a graph that is given, and the saliency of photos."""


rule embed:
    """A graph autoencoder a seed: a latent vector for every node."""
    input:
        data=PLAN.data,
    output:
        "results/studies/{study}/{block}/embedding.safetensors",
    log:
        "logs/embed/{study}/{block}.log",
    benchmark:
        "logs/embed/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1200),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.step("embed"),
    script:
        "../scripts/embed.py"


rule active:
    """Label nodes chosen in several ways, and train a graph network on each choice, all of a seed side by side."""
    input:
        data=PLAN.data,
        embedding="results/studies/{study}/{block}/embedding.safetensors",
    output:
        "results/studies/{study}/{block}/active.parquet",
    log:
        "logs/active/{study}/{block}.log",
    benchmark:
        "logs/active/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1500),
        runtime=PLAN.runtime(120),
    params:
        settings=PLAN.step("active"),
    script:
        "../scripts/active.py"


rule saliency:
    """Maps of each photo by superpixels, gradients and windows, and how good they are."""
    input:
        weights=PLAN.network,
        data=PLAN.data,
    output:
        saliency="results/studies/{study}/{block}/saliency.parquet",
        overlays="results/studies/{study}/{block}/overlays.safetensors",
    log:
        "logs/saliency/{study}/{block}.log",
    benchmark:
        "logs/saliency/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1500),
        runtime=PLAN.runtime(120),
    params:
        settings=PLAN.step("saliency"),
    script:
        "../scripts/saliency.py"
