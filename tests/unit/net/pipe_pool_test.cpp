#include "net/pipe_pool.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "net_support.h"

using namespace penstock;
using namespace penstock::net;

namespace {

size_t open_descriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

struct Sockets {
  Fd from, to, far_from, far_to;
  Sockets() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    from = Fd(ends[0]);
    far_from = Fd(ends[1]);
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
    to = Fd(ends[0]);
    far_to = Fd(ends[1]);
  }
};

// The soft limit while the object lives.
struct DescriptorLimit {
  rlimit before{};
  explicit DescriptorLimit(rlim_t most) {
    ::getrlimit(RLIMIT_NOFILE, &before);
    const rlimit now{most, before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before); }
};

}  // namespace

TEST_CASE("an empty pipe is lent again, one that holds bytes is closed") {
  const size_t before = open_descriptors();
  BlockPool blocks;
  PipePool pool(blocks);
  Sockets sockets;
  const size_t with_sockets = open_descriptors();
  std::unique_ptr<Pipe> pipe = pool.take(0);
  REQUIRE(pipe);
  CHECK(pipe->size() >= static_cast<size_t>(PipePool::least_size));
  const Pipe* first = pipe.get();
  pool.give(std::move(pipe));
  CHECK(pool.idle() == 1);
  pipe = pool.take(0);
  CHECK(pipe.get() == first);
  CHECK(pool.idle() == 0);

  send_all(sockets.far_from.get(), "hello");
  CHECK(pipe->fill(sockets.from.get(), 4) == 4);
  CHECK(pipe->held() == 4);
  pool.give(std::move(pipe));
  CHECK(pool.idle() == 0);
  CHECK(pool.lent() == 0);
  CHECK(open_descriptors() == with_sockets);
  pipe = pool.take(0);
  REQUIRE(pipe);
  CHECK(pipe->held() == 0);
  CHECK(pipe->fill(sockets.from.get(), 100) == 1);
  CHECK(pipe->drain(sockets.to.get()) == 1);
  CHECK(read_all(sockets.far_to.get(), 1) == "o");
  pool.give(std::move(pipe));
  CHECK(pool.idle() == 1);
  CHECK(before < with_sockets);
}

TEST_CASE("only what a peer leaves in a pipe counts as held") {
  BlockPool blocks;
  PipePool pool(blocks);
  Sockets sockets;
  std::unique_ptr<Pipe> pipe = pool.take(0);
  REQUIRE(pipe);
  send_all(sockets.far_from.get(), std::string(1000, 'x'));
  CHECK(pipe->fill(sockets.from.get(), 1000) == 1000);
  CHECK(blocks.held() == 0);
  // Nobody reads there, so it fills up.
  const std::string filler(4096, 'f');
  while (::send(sockets.to.get(), filler.data(), filler.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {}
  CHECK(pipe->drain(sockets.to.get()) == -1);
  CHECK(blocks.held() == 1000);
  pool.give(std::move(pipe));
  CHECK(blocks.held() == 0);
}

TEST_CASE("pipes are bounded, lent and idle ones") {
  const size_t before = open_descriptors();
  {
    BlockPool blocks;
    PipePool pool(blocks);
    std::vector<std::unique_ptr<Pipe>> lent;
    while (auto pipe = pool.take(0)) lent.push_back(std::move(pipe));
    CHECK(lent.size() <= PipePool::most_lent);
    CHECK(lent.size() > PipePool::most_idle);
    CHECK(pool.lent() == lent.size());
    for (auto& pipe : lent) pool.give(std::move(pipe));
    CHECK(pool.idle() == PipePool::most_idle);
    CHECK(open_descriptors() <= before + 2 * PipePool::most_idle);
  }
  CHECK(open_descriptors() == before);
}

TEST_CASE("without a descriptor to spare there is no pipe, and the system is not asked again at once") {
  BlockPool blocks;
  PipePool pool(blocks);
  std::vector<Fd> used;  // all up to the last one's number
  for (int i = 0; i < 16; ++i) used.emplace_back(::dup(0));
  const auto last = static_cast<rlim_t>(used.back().get());
  rlim_t most = 0;
  SUBCASE("none is left") { most = last + 1; }
  SUBCASE("the rest is for backends") { most = last + 3; }
  SUBCASE("the rest is for connections that may come") { most = last * 3; }
  const size_t before = open_descriptors();
  {
    const DescriptorLimit limit(most);
    CHECK(pool.take(1'000) == nullptr);
  }
  CHECK(open_descriptors() == before);
  CHECK(pool.take(1'000 + PipePool::refused_ms - 1) == nullptr);
  CHECK(pool.lent() == 0);
  auto pipe = pool.take(1'000 + PipePool::refused_ms);
  CHECK(pipe);
  pool.give(std::move(pipe));
}
