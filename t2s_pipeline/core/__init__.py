"""What every other room uses: settings, errors, names, registries, progress, files, locks and fingerprints."""
