"""What `Ivschat` is made of: options, requests, validation, sending, results and errors."""
