#include "base/sized_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>

#include "base/sanitized.h"

namespace penstock {
namespace {

// A sanitizer can see who uses a piece too long only when it is freed.
constexpr bool keeps = !address_sanitizer;

constexpr size_t rounded_up(size_t size, size_t to) { return (size + to - 1) / to * to; }

}  // namespace

SizedPool::~SizedPool() {
  for (uint32_t of = 0; of < first_large; ++of)
    while (Piece* piece = kept_[of].first) {
      kept_[of].first = piece->next;
      std::free(piece);
    }
  for (Pages& pages : pages_)
    for (char* slab : pages.slabs) ::munmap(slab, pages.piece_size * pieces_a_slab);
}

SizedPool::Room SizedPool::room_for(size_t whole) {
  if (whole <= least) return {least, 0};
  const auto doublings = static_cast<uint32_t>(std::bit_width(whole - 1) - 1);
  const size_t step = (size_t{1} << doublings) / steps;
  const size_t count = (whole + step - 1) / step;  // steps + 1 to 2 * steps
  const auto above = doublings - static_cast<uint32_t>(std::countr_zero(least));
  return {step * count, static_cast<uint32_t>(steps * above + count - steps)};
}

// A piece of large ones that has no memory yet, or none any more; null: the system has none.
char* SizedPool::map(const Room& room) {
  Pages& pages = pages_of(room.of);
  if (pages.empty.empty()) {
    pages.piece_size = rounded_up(room.size, page);
    const size_t size = pages.piece_size * pieces_a_slab;
    pages.empty.reserve((pages.slabs.size() + 1) * pieces_a_slab);  // give() must not have to
    void* slab = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab == MAP_FAILED) return nullptr;
    pages.slabs.push_back(static_cast<char*>(slab));
    for (size_t at = size; at > 0; at -= pages.piece_size)
      pages.empty.push_back(pages.slabs.back() + at - pages.piece_size);
  }
  char* piece = pages.empty.back();
  pages.empty.pop_back();
  return piece;
}

void* SizedPool::take(size_t size) {
  const size_t whole = size + sizeof(Piece);
  if (whole < size || whole > UINT32_MAX) return nullptr;
  const Room room = keeps && whole <= most ? room_for(whole) : Room{whole, 0};
  Piece* piece = nullptr;
  bool own = keeps && whole <= most;
  if (own) {
    Kept& kept = kept_[room.of];
    piece = kept.first;
    if (piece) {
      kept.first = piece->next;
      --kept.count;
    } else if (room.of >= first_large) {
      piece = reinterpret_cast<Piece*>(map(room));
      own = piece != nullptr;
    }
  }
  if (!piece) piece = static_cast<Piece*>(std::malloc(room.size));
  if (!piece) return nullptr;
  piece->owner = own ? this : nullptr;
  piece->size = static_cast<uint32_t>(room.size);
  piece->of = room.of;
  return piece + 1;
}

void SizedPool::give(void* memory) {
  if (!memory) return;
  Piece* piece = piece_of(memory);
  SizedPool* owner = piece->owner;
  if (!owner) return std::free(piece);
  const uint32_t of = piece->of;
  Kept& kept = owner->kept_[of];
  if ((kept.count + 1) * piece->size <= kept_bytes) {
    piece->next = kept.first;
    kept.first = piece;
    ++kept.count;
  } else if (of < first_large) {
    std::free(piece);
  } else {
    Pages& pages = owner->pages_of(of);
    ::madvise(piece, pages.piece_size, MADV_DONTNEED);
    pages.empty.push_back(reinterpret_cast<char*>(piece));
  }
}

size_t SizedPool::size_of(const void* memory) {
  return static_cast<const Piece*>(memory)[-1].size - sizeof(Piece);
}

}  // namespace penstock
