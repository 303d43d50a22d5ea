// No request of a keep-alive exchange allocates: counted by an operator new of this binary.
#include <doctest/doctest.h>

#include <cstdlib>
#include <new>

#include "base/free_list.h"
#include "support.h"

namespace {
size_t allocations = 0;
}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* out = std::malloc(size ? size : 1)) return out;
  std::abort();
}
void* operator new[](size_t size) { return operator new(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }

using namespace penstock;
using namespace penstock::test;

namespace {

// A transport that allocates nothing itself.
class QuietTransport final : public net::Transport {
 public:
  void read(std::string_view bytes) { handler_->on_read({bytes.data(), bytes.size()}); }
  size_t flushes = 0, sent = 0;

  void start_reading() override {}
  void pause(PauseReason) override {}
  void resume(PauseReason) override {}
  void append(std::string_view bytes) override { waiting_ += bytes.size(); }
  void append_borrowed(std::string_view bytes) override { waiting_ += bytes.size(); }
  std::span<char> reserve(size_t) override { return room_; }
  void commit(size_t used) override { waiting_ += used; }
  void flush() override {
    flushes += waiting_ > 0;
    sent += waiting_;
    waiting_ = 0;
  }
  size_t unsent() const override { return waiting_; }
  void shutdown() override {}
  void close_gracefully(uint64_t) override {}
  void abort() override {}
  const net::Address& peer() const override { return address_; }
  const net::Address& local() const override { return address_; }
  uint64_t bytes_read() const override { return 0; }
  uint64_t bytes_written() const override { return sent; }

 private:
  size_t waiting_ = 0;
  char room_[4096];
  net::Address address_;
};

struct Exchange final : DownstreamOwner, UpstreamOwner {
  struct Down final : StreamHandler {
    Exchange& of;
    explicit Down(Exchange& exchange) : of(exchange) {}
    void on_head(Message& head, EndStream end) override { of.forward(head, end); }
    void on_bad_head(const Error&, Message&) override {}
    void on_informational(Message&) override {}
    void on_data(std::string_view bytes) override { of.up_stream->send_data(bytes); }
    void on_trailers(Headers&) override {}
    void on_end() override { of.up_stream->send_end(); }
    void on_turn_end() override { of.up_stream->flush(); }
    void on_drained() override {}
    void on_reset(const Error&) override {}
  } down{*this};
  struct Up final : StreamHandler {
    Exchange& of;
    explicit Up(Exchange& exchange) : of(exchange) {}
    void on_head(Message& head, EndStream end) override { of.down_stream->send_head(head, end); }
    void on_bad_head(const Error&, Message&) override {}
    void on_informational(Message&) override {}
    void on_data(std::string_view bytes) override { of.down_stream->send_data(bytes); }
    void on_trailers(Headers&) override {}
    void on_end() override {
      of.down_stream->send_end();
      of.down_stream->release();
      of.up_stream->release();
    }
    void on_turn_end() override { of.down_stream->flush(); }
    void on_drained() override {}
    void on_reset(const Error&) override {}
  } up{*this};
  std::unique_ptr<DownstreamConnection> client;
  std::unique_ptr<UpstreamConnection> backend;
  Stream* down_stream = nullptr;
  Stream* up_stream = nullptr;

  void forward(Message& head, EndStream end) {
    up_stream = backend->open(up);
    up_stream->send_head(head, end);
  }
  StreamHandler& on_stream(Stream& stream, DownstreamConnection&) override {
    down_stream = &stream;
    return down;
  }
  void on_closed(DownstreamConnection&) override {}
  void on_idle(UpstreamConnection&) override {}
  void on_closed(UpstreamConnection&) override {}
};

}  // namespace

TEST_CASE("a request on kept-alive connections allocates nothing, and idle ones hold no block") {
  net::Loop loop;
  Exchange exchange;
  DownstreamSettings settings;
  auto client = std::make_unique<QuietTransport>();
  auto backend = std::make_unique<QuietTransport>();
  QuietTransport &in = *client, &out = *backend;
  exchange.client = make_http1_downstream(loop, std::move(client), settings, exchange);
  exchange.backend = make_http1_upstream(loop, std::move(backend), {}, exchange);

  auto once = [&] {
    in.read(
        "POST /path?query HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nX-Some: "
        "value\r\n"
        "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
    out.read(
        "HTTP/1.1 200 OK\r\nServer: test\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
  };
  once();  // fills the pool
  CHECK(loop.blocks().in_use() == 0);
  size_t before = allocations, flushes = in.flushes + out.flushes;
  for (int i = 0; i < 100; ++i) once();
  // The first of them takes the state that the connection then keeps.
  CHECK(allocations - before == (FreeList::keeps ? 0 : 1));
  CHECK(in.flushes + out.flushes - flushes == 200);
  CHECK(loop.blocks().in_use() == 0);
}
