// A real redis-server on a port of its own, what its tools say, and a way to it that is slow.
#pragma once
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/listening_port.h"
#include "e2e/harness/process.h"
#include "e2e/harness/waiting.h"

namespace e2e {

class Redis {
 public:
  // `more` follows the options.
  explicit Redis(std::vector<std::string> more = {}) : more_(std::move(more)), port_(ClosedPort().port()) {
    start();
  }
  uint16_t port() const { return port_; }
  std::string endpoint() const { return "127.0.0.1:" + std::to_string(port_); }
  Process& process() { return *process_; }
  // Everything that it knew is gone.
  void restart() {
    process_.reset();
    start();
  }
  void kill() { process_.reset(); }
  void start() {
    std::vector<std::string> command{
        "redis-server", "--port",      std::to_string(port_), "--bind", "127.0.0.1", "--save", "",
        "--dir",        folder_.path()};
    command.insert(command.end(), more_.begin(), more_.end());
    process_ = std::make_unique<Process>(std::move(command), Process::Read::standard_output);
    process_->wait_for_line("Ready to accept connections");
  }
  std::string cli(std::vector<std::string> words) const {
    words.insert(words.begin(), {"redis-cli", "-p", std::to_string(port_)});
    return run(words).out;
  }

 private:
  TempFolder folder_;
  std::vector<std::string> more_;
  uint16_t port_;
  std::unique_ptr<Process> process_;
};

// Passes bytes on to a server, and its answers back after a delay.
class SlowWay {
 public:
  explicit SlowWay(uint16_t to) : to_(to), thread_([this] { serve(); }) {}
  ~SlowWay() {
    stop_ = true;
    thread_.join();
  }
  std::string endpoint() const { return port_.endpoint(); }
  std::atomic<int> delay_ms{0};

 private:
  struct Piece {
    Clock::time_point due;
    std::string bytes;
  };
  struct Pair {
    std::unique_ptr<Client> client, server;
    std::deque<Piece> late;
  };
  // False: it has ended.
  static bool receive(int descriptor, std::string& out) {
    std::array<char, 4096> buffer;
    const ssize_t size = ::recv(descriptor, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size > 0) out.assign(buffer.data(), static_cast<size_t>(size));
    return size != 0 && (size > 0 || errno == EAGAIN);
  }
  bool pass_on(Pair& pair) const {
    std::string asked, answered;
    if (!receive(pair.client->descriptor(), asked) || !receive(pair.server->descriptor(), answered))
      return false;
    if (!asked.empty()) pair.server->send(asked);
    if (!answered.empty())
      pair.late.push_back({Clock::now() + std::chrono::milliseconds(delay_ms.load()), answered});
    for (; !pair.late.empty() && pair.late.front().due <= Clock::now(); pair.late.pop_front())
      pair.client->send_some(pair.late.front().bytes);
    return true;
  }
  void serve() {
    std::vector<Pair> pairs;
    while (!stop_) {
      std::vector<pollfd> ready{{port_.descriptor(), POLLIN, 0}};
      for (const Pair& pair : pairs)
        for (const auto* end : {&pair.client, &pair.server})
          ready.push_back({(*end)->descriptor(), POLLIN, 0});
      ::poll(ready.data(), ready.size(), 1);
      if ((ready[0].revents & POLLIN) != 0) {
        auto client = port_.accept();
        pairs.push_back({std::move(client), std::make_unique<Client>(to_), {}});
      }
      std::erase_if(pairs, [this](Pair& pair) { return !pass_on(pair); });
    }
  }
  uint16_t to_;
  ListeningPort port_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace e2e
