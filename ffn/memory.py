"""Errors for want of memory, which torch gives no one type."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU or the CPU had too little."""
    return type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)
