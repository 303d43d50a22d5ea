#include "proxy/body_bytes.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace penstock::proxy {

void BodyBytes::append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (bytes.size() > room_ - size_) grow(size_ + bytes.size());
  std::memcpy(data_ + size_, bytes.data(), bytes.size());
  size_ += bytes.size();
}

// Twice as much each time, so that a body that comes in small chunks is not copied with each of them.
void BodyBytes::grow(size_t least) {
  void* piece = loop_.pieces().take(std::max(least, room_ * 2));
  if (!piece) throw std::bad_alloc();
  const size_t room = SizedPool::size_of(piece);
  loop_.blocks().charge(static_cast<int64_t>(room) - static_cast<int64_t>(room_));
  if (size_ > 0) std::memcpy(piece, data_, size_);
  SizedPool::give(data_);
  data_ = static_cast<char*>(piece);
  room_ = room;
}

void BodyBytes::clear() {
  if (!data_) return;
  loop_.blocks().charge(-static_cast<int64_t>(room_));
  SizedPool::give(data_);
  data_ = nullptr;
  size_ = room_ = 0;
}

}  // namespace penstock::proxy
