// A bounded queue of bytes from one worker to the writer thread: whole lines go in, spans of lines come out.
// Lock-free, one producer and one consumer; a full ring refuses, it never waits.
#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace logging {

class Ring {
 public:
  // `capacity` is rounded up to a power of two.
  explicit Ring(size_t capacity) {
    size_t size = 4096;
    while (size < capacity) size *= 2;
    mask_ = size - 1;
    bytes_ = std::make_unique<char[]>(size);
  }

  // The producer's thread. False: there was no room, nothing was taken.
  bool push(std::string_view line) {
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail + line.size() - seen_head_ > mask_ + 1) {
      seen_head_ = head_.load(std::memory_order_acquire);
      if (tail + line.size() - seen_head_ > mask_ + 1) return false;
    }
    const size_t at = tail & mask_;
    const size_t first = line.size() < mask_ + 1 - at ? line.size() : mask_ + 1 - at;
    std::memcpy(bytes_.get() + at, line.data(), first);
    if (first < line.size()) std::memcpy(bytes_.get(), line.data() + first, line.size() - first);
    // Sequentially consistent: the writer sets its sleeping flag, then looks here; we store here, then look
    // there.
    tail_.store(tail + line.size(), std::memory_order_seq_cst);
    return true;
  }

  // The writer's thread. What is there, in one or two pieces (where the ring's end is crossed), at most
  // `limit` bytes.
  struct Span {
    std::string_view first, second;
    size_t size() const { return first.size() + second.size(); }
  };
  Span peek(size_t limit) const {
    const uint64_t head = head_.load(std::memory_order_relaxed);
    const uint64_t there = tail_.load(std::memory_order_seq_cst) - head;
    const size_t size = there < limit ? static_cast<size_t>(there) : limit;
    const size_t at = head & mask_;
    const size_t first = size < mask_ + 1 - at ? size : mask_ + 1 - at;
    return {{bytes_.get() + at, first}, {bytes_.get(), size - first}};
  }
  void pop(size_t size) {
    head_.store(head_.load(std::memory_order_relaxed) + size, std::memory_order_release);
  }

  // The producer's last act; the writer frees the ring once it is empty.
  void close() { closed_.store(true, std::memory_order_release); }
  bool closed() const { return closed_.load(std::memory_order_acquire); }

 private:
  size_t mask_;
  std::unique_ptr<char[]> bytes_;
  alignas(64) std::atomic<uint64_t> tail_{0};
  uint64_t seen_head_ = 0;  // the producer's last look at head_
  alignas(64) std::atomic<uint64_t> head_{0};
  std::atomic<bool> closed_{false};
};

}  // namespace logging
