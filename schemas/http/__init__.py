"""What both HTTP servers share: requests, responses, the error form, the caller."""
