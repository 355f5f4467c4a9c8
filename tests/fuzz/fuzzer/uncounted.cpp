// The hook of the libraries' edges in programs that do not count them, of a build that holds the fuzzer too.
extern "C" void __sanitizer_cov_trace_pc() {}
