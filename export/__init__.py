"""Turn a model and its head into artefacts for mobile runtimes, and prove each equal."""
