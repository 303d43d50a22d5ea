#include "net/send_queue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>

using namespace penstock;
using namespace penstock::net;

namespace {
std::string content(const SendQueue& queue) {
  std::array<iovec, 1024> segments;
  size_t count = queue.segments(segments);
  std::string out;
  for (size_t i = 0; i < count; ++i)
    out.append(static_cast<const char*>(segments[i].iov_base), segments[i].iov_len);
  return out;
}
}  // namespace

TEST_CASE("head and body leave as few segments in the order appended") {
  BlockPool pool;
  SendQueue queue(pool);
  queue.append("HTTP/1.1 ");
  auto room = queue.reserve(100);
  REQUIRE(room.size() >= 100);
  std::copy_n("200 OK", 6, room.data());
  queue.commit(6);
  queue.append("\r\n\r\n");
  std::string body(1000, 'b');
  queue.append_borrowed(body);
  queue.append("end");
  std::array<iovec, 16> segments;
  CHECK(queue.segments(segments) == 3);
  CHECK(segments[1].iov_base == body.data());
  CHECK(content(queue) == "HTTP/1.1 200 OK\r\n\r\n" + body + "end");
  CHECK(queue.size() == content(queue).size());
  CHECK(pool.in_use() == 1);
  queue.consume(queue.size());
  CHECK(queue.empty());
  CHECK(pool.in_use() == 0);
}

TEST_CASE("borrowed bytes may change once keep() has copied them") {
  BlockPool pool;
  SendQueue queue(pool);
  std::string body(10'000, 'x');
  queue.append("head");
  queue.append_borrowed(body);
  queue.consume(2);
  queue.keep();
  CHECK(queue.keeping());
  body.assign(10'000, '!');
  CHECK(content(queue) == "ad" + std::string(10'000, 'x'));
  std::string later = "later";
  queue.append_borrowed(later);
  later = "?????";
  CHECK(content(queue) == "ad" + std::string(10'000, 'x') + "later");
  queue.clear();
  CHECK(pool.in_use() == 0);
}

TEST_CASE("a full segment table gives back what did not fit") {
  BlockPool pool;
  SendQueue queue(pool);
  std::string piece = "p";
  for (size_t i = 0; i < SendQueue::max_segments; ++i) CHECK(queue.append_borrowed(piece).empty());
  CHECK(queue.append_borrowed(piece) == "p");
  CHECK(queue.append("copied") == "copied");
  CHECK(queue.reserve(10).empty());
  CHECK(queue.size() == SendQueue::max_segments);
  queue.keep();
  CHECK(queue.append_borrowed(piece).empty());
  CHECK(queue.append("copied").empty());
  CHECK(content(queue) == std::string(SendQueue::max_segments + 1, 'p') + "copied");
}

TEST_CASE("a reserve as large as a block fits behind the table and behind other bytes") {
  BlockPool pool;
  SendQueue queue(pool);
  CHECK(queue.reserve(BlockPool::Block::capacity).size() >= BlockPool::Block::capacity);
  queue.commit(0);
  queue.append("x");
  auto room = queue.reserve(BlockPool::Block::capacity);
  REQUIRE(room.size() >= BlockPool::Block::capacity);
  std::fill(room.begin(), room.end(), 'r');
  queue.commit(BlockPool::Block::capacity);
  CHECK(content(queue) == "x" + std::string(BlockPool::Block::capacity, 'r'));
  queue.clear();
  CHECK(pool.in_use() == 0);
}

TEST_CASE("random appends, keeps and partial consumes keep every byte in order") {
  std::mt19937 random(7);
  BlockPool pool;
  for (int round = 0; round < 200; ++round) {
    SendQueue queue(pool);
    std::string expected, source;
    for (int i = 0; i < 60'000; ++i) source.push_back(static_cast<char>(random()));
    std::string taken;
    for (int step = 0; step < 60; ++step) {
      size_t size = random() % (random() % 4 == 0 ? 9000 : 300);
      std::string_view bytes = std::string_view(source).substr(random() % 50'000, size);
      switch (random() % 5) {
        case 0: {
          auto left = queue.append(bytes);
          expected.append(bytes.substr(0, bytes.size() - left.size()));
          break;
        }
        case 1: {
          auto left = queue.append_borrowed(bytes);
          expected.append(bytes.substr(0, bytes.size() - left.size()));
          break;
        }
        case 2: {
          bytes = bytes.substr(0, 4000);
          auto room = queue.reserve(bytes.size());
          if (room.size() < bytes.size()) break;
          std::copy(bytes.begin(), bytes.end(), room.begin());
          queue.commit(bytes.size());
          expected.append(bytes);
          break;
        }
        case 3: queue.keep(); break;
        default: {
          size_t gone = queue.empty() ? 0 : random() % (queue.size() + 1);
          taken += content(queue).substr(0, gone);
          queue.consume(gone);
        }
      }
      REQUIRE(queue.size() == content(queue).size());
    }
    REQUIRE(taken + content(queue) == expected);
  }
  CHECK(pool.in_use() == 0);
}
