// Memory in pieces of many sizes that come and go with every message, for what is no class of ours: a library
// that takes an allocator. Freed pieces are kept by their size, so that the steady state allocates nothing;
// what is over `most` is the general allocator's, and what is over what is kept of a size goes back. Large
// pieces lie on pages of their own, so that who uses but the beginning of one takes no more memory than that:
// from the general allocator they would come with pages that others have written to. Not thread-safe: one a
// loop, which has to outlive the pieces.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock {

class SizedPool {
 public:
  static constexpr size_t most = 32 * 1024;         // with the 16 bytes that each piece has for us
  static constexpr size_t kept_bytes = 512 * 1024;  // of each size
  static constexpr size_t large = 8 * 1024;         // a piece over it has pages of its own

  SizedPool() = default;
  SizedPool(const SizedPool&) = delete;
  SizedPool& operator=(const SizedPool&) = delete;
  ~SizedPool();

  void* take(size_t size);  // null: the general allocator has none
  static void give(void* piece);
  static size_t size_of(const void* piece);  // what can be used of it

 private:
  // Four sizes to each doubling: a quarter of a piece is lost at most.
  static constexpr size_t least = 64;
  static constexpr size_t steps = 4;
  static constexpr size_t classes = steps * (std::countr_zero(most) - std::countr_zero(least)) + 1;
  static constexpr size_t page = 4096;
  static constexpr size_t pieces_a_slab = 32;

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
  // The pages of the large pieces of one class; mapped until the end, but only those in use or kept have
  // memory.
  struct Pages {
    std::vector<char*> slabs;
    std::vector<char*> empty;  // pieces without memory
    size_t piece_size = 0;
  };
  struct Room {
    size_t size;
    uint32_t of;
  };

  static Room room_for(size_t whole);
  Pages& pages_of(uint32_t of) { return pages_[of - first_large]; }
  char* map(const Room& room);

  static constexpr uint32_t first_large = steps * (std::countr_zero(large) - std::countr_zero(least)) + 1;
  std::array<Kept, classes> kept_;
  std::array<Pages, classes - first_large> pages_;
};

}  // namespace penstock
