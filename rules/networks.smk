"""What a network makes of samples: attacks on it, and its features of them."""


rule attack:
    """Adversarial images of some of the samples, against the network of the same seed."""
    input:
        weights=PLAN.weights,
        data=PLAN.data,
    output:
        "results/studies/{study}/{block}/attacks.safetensors",
    log:
        "logs/attack/{study}/{block}.log",
    benchmark:
        "logs/attack/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1500),
        runtime=PLAN.runtime(120),
    params:
        settings=PLAN.step("attack"),
    script:
        "../scripts/attack.py"


rule features:
    """A hidden layer of the network over the samples, and what it takes them for."""
    input:
        weights=PLAN.weights,
        data=PLAN.data,
        attacks=PLAN.attacks,
    output:
        "results/studies/{study}/{block}/features.safetensors",
    log:
        "logs/features/{study}/{block}.log",
    benchmark:
        "logs/features/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2000),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.embedded,
    script:
        "../scripts/features.py"


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
