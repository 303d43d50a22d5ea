#include "http/http2/session_memory.h"

#include <algorithm>
#include <cstring>

namespace penstock::http::http2 {

nghttp2_mem SessionMemory::functions() { return {this, take, give, take_zeroed, resize}; }

void* SessionMemory::take(size_t size, void* self) {
  auto& memory = *static_cast<SessionMemory*>(self);
  void* piece = memory.pieces_.take(size);
  if (piece) memory.count(static_cast<int64_t>(SizedPool::size_of(piece)));
  return piece;
}

void* SessionMemory::take_zeroed(size_t count, size_t size, void* self) {
  if (size != 0 && count > SIZE_MAX / size) return nullptr;
  void* piece = take(count * size, self);
  if (piece) std::memset(piece, 0, count * size);
  return piece;
}

void* SessionMemory::resize(void* piece, size_t size, void* self) {
  if (!piece) return take(size, self);
  const size_t had = SizedPool::size_of(piece);
  if (size <= had) return piece;
  void* larger = take(size, self);
  if (!larger) return nullptr;
  std::memcpy(larger, piece, had);
  give(piece, self);
  return larger;
}

void SessionMemory::give(void* piece, void* self) {
  if (!piece) return;
  static_cast<SessionMemory*>(self)->count(-static_cast<int64_t>(SizedPool::size_of(piece)));
  SizedPool::give(piece);
}

}  // namespace penstock::http::http2
