#include "base/sized_pool.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

namespace penstock {
namespace {

// A sanitizer can see who uses a piece too long only when it is freed.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool keeps = false;
#else
constexpr bool keeps = true;
#endif

}  // namespace

SizedPool::~SizedPool() {
  for (Kept& kept : kept_)
    while (Piece* piece = kept.first) {
      kept.first = piece->next;
      std::free(piece);
    }
}

void* SizedPool::take(size_t size) {
  const size_t whole = size + sizeof(Piece);
  if (whole > most || whole < size) {
    auto* piece = whole < size || whole > UINT32_MAX ? nullptr : static_cast<Piece*>(std::malloc(whole));
    if (!piece) return nullptr;
    piece->owner = nullptr;
    piece->size = static_cast<uint32_t>(whole);
    return piece + 1;
  }
  const size_t room = std::bit_ceil(std::max(whole, least));
  const auto of = static_cast<uint32_t>(std::countr_zero(room) - std::countr_zero(least));
  Kept& kept = kept_[of];
  Piece* piece = kept.first;
  if (piece) {
    kept.first = piece->next;
    --kept.count;
  } else {
    piece = static_cast<Piece*>(std::malloc(keeps ? room : whole));
    if (!piece) return nullptr;
  }
  piece->owner = this;
  piece->size = static_cast<uint32_t>(keeps ? room : whole);
  piece->of = of;
  return piece + 1;
}

void SizedPool::give(void* memory) {
  if (!memory) return;
  Piece* piece = piece_of(memory);
  SizedPool* owner = piece->owner;
  if (!keeps || !owner) return std::free(piece);
  Kept& kept = owner->kept_[piece->of];
  if ((kept.count + 1) * piece->size > kept_bytes) return std::free(piece);
  piece->next = kept.first;
  kept.first = piece;
  ++kept.count;
}

size_t SizedPool::size_of(const void* memory) {
  return static_cast<const Piece*>(memory)[-1].size - sizeof(Piece);
}

}  // namespace penstock
