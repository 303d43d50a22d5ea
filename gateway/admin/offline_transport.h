// A transport without a socket: a request's bytes go in, whatever is answered is dropped. For explain, which
// runs the real HTTP/1 connection over it. One thread.
#pragma once
#include <array>
#include <optional>
#include <string>

#include "base/block_pool.h"
#include "net/transport.h"

namespace penstock::admin {

class OfflineTransport final : public net::Transport {
 public:
  OfflineTransport(net::Address peer, net::Address local, std::optional<net::TlsInfo> tls)
      : peer_(peer), local_(local), tls_(std::move(tls)) {}

  // May destroy this object.
  void feed(std::span<const char> bytes) { handler_->on_read(bytes); }

  void start_reading() override {}
  void pause(PauseReason) override {}
  void resume(PauseReason) override {}
  void append(std::string_view) override {}
  void append_borrowed(std::string_view) override {}
  std::span<char> reserve(size_t) override { return scratch_; }
  void commit(size_t) override {}
  void flush() override {}
  size_t unsent() const override { return 0; }
  void shutdown() override {}
  void close_gracefully(uint64_t) override {}
  void abort() override {}
  const net::Address& peer() const override { return peer_; }
  const net::Address& local() const override { return local_; }
  const net::TlsInfo* tls() const override { return tls_ ? &*tls_ : nullptr; }
  uint64_t bytes_read() const override { return 0; }
  uint64_t bytes_written() const override { return 0; }

 private:
  net::Address peer_, local_;
  std::optional<net::TlsInfo> tls_;
  std::array<char, BlockPool::Block::capacity> scratch_;
};

}  // namespace penstock::admin
