// Memory in pieces of many sizes that come and go with every message, for what is no class of ours: a library
// that takes an allocator. Freed pieces are kept by their size, so that the steady state allocates nothing;
// what is over `most`, or over what is kept of a size, is the general allocator's. Not thread-safe: one a
// loop, which has to outlive the pieces.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace penstock {

class SizedPool {
 public:
  static constexpr size_t most = 32 * 1024;          // with the 16 bytes that each piece has for us
  static constexpr size_t kept_bytes = 2048 * 1024;  // of each size

  SizedPool() = default;
  SizedPool(const SizedPool&) = delete;
  SizedPool& operator=(const SizedPool&) = delete;
  ~SizedPool();

  void* take(size_t size);  // null: the general allocator has none
  static void give(void* piece);
  static size_t size_of(const void* piece);  // what can be used of it

 private:
  static constexpr size_t least = 64;
  static constexpr size_t classes = 10;  // least << 9 == most
  static_assert(least << (classes - 1) == most);

  struct alignas(std::max_align_t) Piece {
    union {
      SizedPool* owner;  // in use; null: the general allocator's
      Piece* next;       // kept
    };
    uint32_t size;  // with this
    uint32_t of;    // its class
  };
  static Piece* piece_of(void* memory) { return static_cast<Piece*>(memory) - 1; }

  struct Kept {
    Piece* first = nullptr;
    size_t count = 0;
  };
  std::array<Kept, classes> kept_;
};

}  // namespace penstock
