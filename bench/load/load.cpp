// The load of the bench: one thread, many connections, and an exact account of every answer. It is to cost so
// little that the proxy's core, not its own, is the one that is full. Closed loop (--mode kept, fresh) or at
// fixed times (--rate): there a request that finds no free connection waits, and its wait counts. Prints one
// line, RESULT {json}; with --mode held READY when every connection has had its answer, and holds them until
// its standard input ends.
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <vector>

#include "client.h"
#include "options.h"

namespace load {
namespace {

using Nanoseconds = std::chrono::nanoseconds;
constexpr auto patience = std::chrono::seconds(5);  // an answer that takes longer is an error
constexpr size_t most_opening = 64;                 // at once, with Mode::held

class Load {
 public:
  Load(const Options& options, const Request& request)
      : options_(options), tls_(options.tls), interval_(options.rate > 0 ? 1'000'000'000 / options.rate : 0) {
    for (size_t i = 0; i < options.connections; ++i) clients_.emplace_back(request, tls_);
    microseconds_.reserve(size_t{4} << 20);
  }

  void run() {
    begin_ = Clock::now();
    due_ = begin_;
    end_ =
        begin_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.seconds));
    size_t at_once = options_.mode == Mode::held ? std::min(most_opening, clients_.size()) : clients_.size();
    if (options_.mode == Mode::rate)
      for (Client& client : clients_) idle_.push_back(&client);
    else
      while (next_ < at_once) ask(clients_[next_++], begin_);
    std::array<epoll_event, 256> events;
    while (!over()) {
      if (options_.mode == Mode::rate) ask_due();
      const timespec wait = time_to_wait();
      const int n = epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &wait, nullptr);
      for (int i = 0; i < n; ++i) advance(*static_cast<Client*>(events[static_cast<size_t>(i)].data.ptr));
      ask_again();
    }
    end_ = std::min(end_, Clock::now());
    for (const Client& client : clients_) errors_ += client.is_asking() && end_ - client.since() > patience;
    errors_ += static_cast<uint64_t>(
        std::ranges::count_if(late_, [&](Clock::time_point since) { return end_ - since > patience; }));
  }

  void hold() const {
    std::puts("READY");
    std::fflush(stdout);
    std::array<char, 64> input;
    while (read(STDIN_FILENO, input.data(), input.size()) > 0) {}
  }

  void print() {
    std::ranges::sort(microseconds_);
    const auto at = [&](double share) {
      if (microseconds_.empty()) return uint32_t{0};
      return microseconds_[static_cast<size_t>(static_cast<double>(microseconds_.size() - 1) * share)];
    };
    const auto length = std::chrono::duration_cast<std::chrono::microseconds>(end_ - begin_).count();
    std::printf(
        "RESULT "
        "{\"requests\":%zu,\"microseconds\":%lld,\"p50_us\":%u,\"p90_us\":%u,\"p99_us\":%u,\"p999_us\":%u,"
        "\"max_us\":%u,\"bad_status\":%llu,\"errors\":%llu,\"resumed\":%llu,\"tls\":\"%s\"}\n",
        microseconds_.size(), static_cast<long long>(length), at(0.5), at(0.9), at(0.99), at(0.999), at(1),
        static_cast<unsigned long long>(bad_), static_cast<unsigned long long>(errors_),
        static_cast<unsigned long long>(resumed_), spoken_.c_str());
  }

 private:
  bool over() const {
    if (options_.mode == Mode::held) return microseconds_.size() + bad_ + errors_ >= clients_.size();
    return Clock::now() >= end_ || microseconds_.size() >= options_.requests;
  }

  timespec time_to_wait() const {
    if (!again_.empty()) return {};
    const auto until = options_.mode == Mode::rate && !idle_.empty() ? std::min(due_, end_) : end_;
    const auto left = std::max(Nanoseconds(0), Nanoseconds(until - Clock::now()));
    return {.tv_sec = left.count() / 1'000'000'000, .tv_nsec = left.count() % 1'000'000'000};
  }

  // Requests whose time has come; without a free connection they wait in late_.
  void ask_due() {
    for (const auto now = Clock::now(); due_ <= now; due_ += interval_) late_.push_back(due_);
    while (!late_.empty() && !idle_.empty()) {
      Client* client = idle_.front();
      idle_.pop_front();
      const auto since = late_.front();
      late_.pop_front();
      ask(*client, since);
    }
  }

  void ask(Client& client, Clock::time_point since) {
    if (!client.is_open()) {
      if (!client.open()) {
        std::perror("penstock_load: a connection");
        std::exit(1);
      }
      // Edges: a connection is watched once and costs no further call.
      epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = &client}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, client.wire().descriptor(), &event);
    }
    client.ask(since);
    advance(client);
  }

  void advance(Client& client) {
    switch (client.advance()) {
      case Client::Went::waits: return;
      case Client::Went::answered: count(client); break;
      case Client::Went::bad: ++bad_, client.close(); break;
      case Client::Went::failed: ++errors_, client.close(); break;
    }
    if (options_.mode == Mode::fresh) client.close();
    if (options_.mode == Mode::rate) return idle_.push_back(&client);
    if (options_.mode != Mode::held)
      again_.push_back(&client);
    else if (next_ < clients_.size())
      again_.push_back(&clients_[next_++]);
  }

  // Once a turn: connections that fail at once must not keep the loop from its end.
  void ask_again() {
    asking_.swap(again_);
    for (Client* client : asking_) ask(*client, Clock::now());
    asking_.clear();
  }

  void count(const Client& client) {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - client.since());
    errors_ += took > patience;
    microseconds_.push_back(static_cast<uint32_t>(took.count()));
    resumed_ += client.wire().resumed();
    if (spoken_.empty() && client.wire().tls()) spoken_ = SSL_get_cipher_name(client.wire().tls());
  }

  const Options& options_;
  TlsClient tls_;
  Nanoseconds interval_;
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::deque<Client> clients_;
  size_t next_ = 0;
  std::deque<Client*> idle_;
  std::deque<Clock::time_point> late_;
  std::vector<Client*> again_, asking_;  // whose next request is due in this turn
  std::vector<uint32_t> microseconds_;   // of every answer
  uint64_t errors_ = 0, bad_ = 0, resumed_ = 0;
  std::string spoken_;
  Clock::time_point begin_, end_, due_;
};

Request request_of(const Options& options) {
  Request request;
  request.address.sin_family = AF_INET;
  request.address.sin_port = htons(options.port);
  request.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  request.head = (options.body > 0 ? "POST " : "GET ") + options.path +
                 " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(options.port) + "\r\n";
  for (const std::string& header : options.headers) request.head += header + "\r\n";
  if (options.body > 0) {
    request.head += "Content-Length: " + std::to_string(options.body) + "\r\n";
    request.body_size = options.body;
    request.body_file = memfd_create("body", MFD_CLOEXEC);
    const std::string bytes(options.body, 'b');
    if (write(request.body_file, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      std::exit(1);
  }
  request.head += "\r\n";
  return request;
}

}  // namespace
}  // namespace load

int main(int count, char** arguments) {
  const load::Options options = load::parse_options(count, arguments);
  ::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const load::Request request = load::request_of(options);
  load::Load load(options, request);
  load.run();
  if (options.mode == load::Mode::held) load.hold();
  load.print();
}
