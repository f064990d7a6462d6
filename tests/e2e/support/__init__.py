"""What the end-to-end tests are made of: processes, an upstream that records, a raw worker."""
