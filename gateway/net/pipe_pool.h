// Pipes through which body bytes go from one socket to another without passing through our memory
// (splice(2)). A pipe is lent for one move at a time; one whose bytes the peer has not all taken stays with
// that peer's socket until it has. One loop. Private to net/.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/block_pool.h"

namespace penstock::net {

class Pipe {
 public:
  // Null: the system does not let us, lets us have none that is large enough, or descriptors are scarce.
  static std::unique_ptr<Pipe> make(BlockPool& blocks);
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  // From a socket, `most` bytes at most; to a socket. As splice(2): -1 and errno; fill() 0 at the end.
  ssize_t fill(int from, uint64_t most);
  ssize_t drain(int to);
  size_t held() const { return held_; }
  size_t size() const { return size_; }

 private:
  Pipe(BlockPool& blocks, int out, int in, size_t size) : blocks_(blocks), out_(out), in_(in), size_(size) {}
  void charge(size_t bytes);

  BlockPool& blocks_;
  int out_, in_;
  size_t size_, held_ = 0;
  size_t charged_ = 0;  // of held_, to the process's memory
};

class PipePool {
 public:
  // What a pipe is asked to hold: a whole socket buffer of a fast peer in one move.
  static constexpr int wanted_size = 1 << 20;
  // A smaller one moves less at once than the loop's read buffer, so copying is cheaper.
  static constexpr int least_size = 256 << 10;
  // With peers that have not taken all of them: so many MiB of the kernel's memory a worker. The bodies of
  // others are copied meanwhile.
  static constexpr size_t most_lent = 64;
  static constexpr size_t most_idle = 4;
  // After the system has refused one, for so long it is not asked again.
  static constexpr uint64_t refused_ms = 1'000;

  explicit PipePool(BlockPool& blocks) : blocks_(blocks) {}
  std::unique_ptr<Pipe> take(uint64_t now_ms);  // empty; null: there is none to be had
  void give(std::unique_ptr<Pipe> pipe);        // one that holds bytes is closed
  // Splicing does not work here: no pipe for refused_ms.
  void refuse(uint64_t now_ms) { refused_until_ms_ = now_ms + refused_ms; }
  size_t lent() const { return lent_; }
  size_t idle() const { return idle_.size(); }

 private:
  BlockPool& blocks_;
  std::vector<std::unique_ptr<Pipe>> idle_;
  size_t lent_ = 0;
  uint64_t refused_until_ms_ = 0;
};

}  // namespace penstock::net
