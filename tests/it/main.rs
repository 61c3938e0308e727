//! Black-box tests of Naru, in one binary.
