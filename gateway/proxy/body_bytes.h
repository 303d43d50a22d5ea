// Bytes of a body in one piece that grows: what a plugin keeps, what it puts in place of a chunk, what came
// while it waits. From the worker's pieces, charged to the process's memory, given back by clear(). One
// worker.
#pragma once
#include <cstddef>
#include <string_view>

#include "net/loop.h"

namespace penstock::proxy {

class BodyBytes {
 public:
  explicit BodyBytes(net::Loop& loop) : loop_(loop) {}
  BodyBytes(const BodyBytes&) = delete;
  BodyBytes& operator=(const BodyBytes&) = delete;
  ~BodyBytes() { clear(); }

  void append(std::string_view bytes);  // none of its own
  void clear();
  std::string_view view() const { return {data_, size_}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  void grow(size_t least);
  net::Loop& loop_;
  char* data_ = nullptr;
  size_t size_ = 0, room_ = 0;
};

}  // namespace penstock::proxy
