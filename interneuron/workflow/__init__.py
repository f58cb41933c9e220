"""The workflow's own room: config models, fingerprints, the ledger, the `interneuron` command. No method knows it."""
