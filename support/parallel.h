// Independent pieces of work on the cores that there are.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <future>
#include <thread>
#include <vector>

namespace gradc {

// Calls work(0) to work(n - 1), each once, several at a time and begun in this order. All are done when it
// returns; what the first of those that failed threw is thrown then. A thread, which costs some 20 us, is
// made for as many pieces as are worth one; where none can be had, they follow one another.
template <class F>
void in_parallel(size_t n, F&& work, size_t worth_a_thread = 1) {
  std::vector<std::exception_ptr> failures(n);
  std::atomic<size_t> next{0};
  const auto take = [&] {
    for (size_t i = next++; i < n; i = next++) {
      try {
        work(i);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  std::vector<std::future<void>> others;
  const size_t threads = std::min<size_t>(n / worth_a_thread, std::thread::hardware_concurrency());
  for (size_t t = 1; t < threads; ++t)
    others.push_back(std::async(std::launch::async | std::launch::deferred, take));
  take();
  for (std::future<void>& o : others) o.get();
  for (const std::exception_ptr& f : failures)
    if (f) std::rethrow_exception(f);
}

// The order in which pieces of unequal size are best begun.
template <class T, class Size>
void largest_first(std::vector<T>& pieces, Size&& size) {
  std::stable_sort(pieces.begin(), pieces.end(), [&](const T& a, const T& b) { return size(a) > size(b); });
}

}  // namespace gradc
