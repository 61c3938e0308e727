//! What each process must be allowed on AWS, and nothing else.
