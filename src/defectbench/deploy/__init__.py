"""From weights to the deployed file: export, adapters, NMS, runtime."""
