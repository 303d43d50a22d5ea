// The load of the bench: closed loop, one thread, keep-alive GETs over a fixed number of connections. It is
// to cost so little that the proxy's core, not its own, is the one that is full: bodies are counted and
// discarded in the kernel (MSG_TRUNC, tcp(7)), never copied. Every answer must be a 200 with a
// Content-Length. penstock_load PORT PATH CONNECTIONS SECONDS [HEADER]...; prints one line, RESULT {json}.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::seconds(5);  // an answer that takes longer is an error

struct Answer {
  size_t head = 0;    // bytes up to and with the blank line; 0: not all of it is here
  uint64_t body = 0;  // bytes that follow
  bool good = false;  // 200 with a length
};

Answer parse(std::string_view text) {
  Answer answer;
  const size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return answer;
  answer.head = end + 4;
  std::string lines(text.substr(0, answer.head));
  std::ranges::transform(lines, lines.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::string_view name = "\r\ncontent-length: ";
  const size_t at = lines.find(name);
  if (!lines.starts_with("http/1.1 200 ") || at == lines.npos) return answer;
  const char* digits = lines.data() + at + name.size();
  answer.good = std::from_chars(digits, lines.data() + end, answer.body).ec == std::errc();
  return answer;
}

struct Connection {
  int descriptor = -1;
  Clock::time_point asked;
  uint64_t body_left = 0;
  size_t head_size = 0;
  bool in_body = false;
  std::array<char, 4096> head;
};

class Load {
 public:
  Load(const char* port, std::string request, size_t connections) : request_(std::move(request)) {
    address_.sin_family = AF_INET;
    address_.sin_port = htons(static_cast<uint16_t>(std::atoi(port)));
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connections_.resize(connections);
    microseconds_.reserve(size_t{4} << 20);
  }

  void run(std::chrono::seconds length) {
    begin_ = Clock::now();
    for (Connection& c : connections_) open(c);
    const auto end = begin_ + length;
    std::array<epoll_event, 256> events;
    for (auto now = begin_; now < end; now = Clock::now()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - now).count();
      const int n =
          epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), static_cast<int>(left));
      for (int i = 0; i < n; ++i)
        on_readable(*static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr));
    }
    end_ = Clock::now();
    for (const Connection& c : connections_) errors_ += end_ - c.asked > patience;
  }

  void print() {
    std::ranges::sort(microseconds_);
    const auto percentile = [&](size_t p) {
      return microseconds_.empty() ? 0 : microseconds_[(microseconds_.size() - 1) * p / 100];
    };
    const auto length = std::chrono::duration_cast<std::chrono::microseconds>(end_ - begin_).count();
    std::printf(
        "RESULT {\"requests\":%zu,\"microseconds\":%lld,\"p50_us\":%u,\"p99_us\":%u,\"bad_status\":%llu,"
        "\"errors\":%llu}\n",
        microseconds_.size(), static_cast<long long>(length), percentile(50), percentile(99),
        static_cast<unsigned long long>(bad_), static_cast<unsigned long long>(errors_));
  }

 private:
  void open(Connection& c) {
    c.descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(c.descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(c.descriptor, reinterpret_cast<sockaddr*>(&address_), sizeof address_) != 0) {
      std::perror("connect");
      std::exit(1);
    }
    epoll_event event{.events = EPOLLIN, .data = {.ptr = &c}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, c.descriptor, &event);
    ask(c);
  }

  void again(Connection& c, uint64_t& counter) {
    ++counter;
    close(c.descriptor);
    open(c);
  }

  void ask(Connection& c) {
    c.head_size = 0;
    c.in_body = false;
    c.asked = Clock::now();
    const auto sent = send(c.descriptor, request_.data(), request_.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(request_.size())) ++errors_;  // the answer will be missing, too
  }

  void on_readable(Connection& c) {
    if (c.in_body) {
      const auto n = recv(c.descriptor, nullptr, c.body_left, MSG_TRUNC | MSG_DONTWAIT);
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return again(c, errors_);
      return on_body(c, static_cast<uint64_t>(n));
    }
    const auto n = recv(c.descriptor, c.head.data() + c.head_size, c.head.size() - c.head_size, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return again(c, errors_);
    c.head_size += static_cast<size_t>(n);
    const Answer answer = parse({c.head.data(), c.head_size});
    if (answer.head == 0) {
      if (c.head_size == c.head.size()) again(c, errors_);
      return;
    }
    const uint64_t early = c.head_size - answer.head;
    if (!answer.good || early > answer.body) return again(c, bad_);
    c.in_body = true;
    c.body_left = answer.body;
    on_body(c, early);
  }

  void on_body(Connection& c, uint64_t size) {
    c.body_left -= size;
    if (c.body_left > 0) return;
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - c.asked);
    if (took > patience) ++errors_;
    microseconds_.push_back(static_cast<uint32_t>(took.count()));
    ask(c);
  }

  sockaddr_in address_{};
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::string request_;
  std::vector<Connection> connections_;
  std::vector<uint32_t> microseconds_;  // of every answer
  uint64_t errors_ = 0, bad_ = 0;
  Clock::time_point begin_, end_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fputs("usage: penstock_load PORT PATH CONNECTIONS SECONDS [HEADER]...\n", stderr);
    return 2;
  }
  std::string request = "GET " + std::string(argv[2]) + " HTTP/1.1\r\nHost: 127.0.0.1:" + argv[1] + "\r\n";
  for (int i = 5; i < argc; ++i) request.append(argv[i]).append("\r\n");
  Load load(argv[1], request + "\r\n", static_cast<size_t>(std::atoi(argv[3])));
  load.run(std::chrono::seconds(std::atoi(argv[4])));
  load.print();
}
