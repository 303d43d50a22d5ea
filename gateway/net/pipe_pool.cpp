#include "net/pipe_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "net/descriptor.h"

namespace penstock::net {

std::unique_ptr<Pipe> Pipe::make(BlockPool& blocks) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return nullptr;
  // A pipe only saves time. Connections, two descriptors each, must find the room that they had without it,
  // also those that come later, so pipes are made while most descriptors are free.
  const bool spare = std::max(ends[0], ends[1]) < descriptor_mark() / 4;
  // What this user may have of large pipes can be used up, or bounded below ours.
  int size = -1;
  for (int wanted = PipePool::wanted_size; spare && size < 0 && wanted >= PipePool::least_size; wanted /= 2)
    size = ::fcntl(ends[0], F_SETPIPE_SZ, wanted);
  if (size < PipePool::least_size) {
    ::close(ends[0]);
    ::close(ends[1]);
    return nullptr;
  }
  return std::unique_ptr<Pipe>(new Pipe(blocks, ends[0], ends[1], static_cast<size_t>(size)));
}

Pipe::~Pipe() {
  charge(0);
  ::close(out_);
  ::close(in_);
}

ssize_t Pipe::fill(int from, uint64_t most) {
  const auto size = static_cast<size_t>(std::min<uint64_t>(most, size_ - held_));
  const ssize_t moved = ::splice(from, nullptr, in_, nullptr, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (moved > 0) held_ += static_cast<size_t>(moved);
  return moved;
}

ssize_t Pipe::drain(int to) {
  const ssize_t moved = ::splice(out_, nullptr, to, nullptr, held_, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  const int error = errno;
  if (moved > 0) held_ -= static_cast<size_t>(moved);
  charge(held_);
  errno = error;
  return moved;
}

// Only what a peer left in it is held for that peer.
void Pipe::charge(size_t bytes) {
  if (bytes == charged_) return;
  blocks_.charge(static_cast<int64_t>(bytes) - static_cast<int64_t>(charged_));
  charged_ = bytes;
}

std::unique_ptr<Pipe> PipePool::take(uint64_t now_ms) {
  std::unique_ptr<Pipe> pipe;
  if (lent_ == most_lent || now_ms < refused_until_ms_) return pipe;
  if (idle_.empty()) {
    pipe = Pipe::make(blocks_);
    if (!pipe) refuse(now_ms);
  } else {
    pipe = std::move(idle_.back());
    idle_.pop_back();
  }
  lent_ += pipe != nullptr;
  return pipe;
}

void PipePool::give(std::unique_ptr<Pipe> pipe) {
  if (!pipe) return;
  --lent_;
  if (pipe->held() == 0 && idle_.size() < most_idle) idle_.push_back(std::move(pipe));
}

}  // namespace penstock::net
