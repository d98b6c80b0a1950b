"""Is an encoder any good: measures, and what runs them."""
