// The backend of the bench: answers as cheaply as it can, so that the proxy's core, not its own, is the one
// that is full. Large answers leave by sendfile, bodies of requests are discarded in the kernel (MSG_TRUNC,
// tcp(7)). GET /bytes/N: 200 and N bytes; any other request: 200 and two bytes after its body. One request at
// a time on a connection, bodies by Content-Length: what proxies send. penstock_bench_backend PORT
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

namespace {

constexpr uint64_t largest_copied = 128 * 1024;  // above, an answer leaves by sendfile

// An answer, made once: small ones whole in `text`, of large ones only the head.
struct Answer {
  std::string text;
  uint64_t file_size = 0;
  int file = -1;
};

const Answer& answer_of(uint64_t size) {
  static std::map<uint64_t, Answer> made;
  auto [at, inserted] = made.try_emplace(size);
  Answer& answer = at->second;
  if (!inserted) return answer;
  answer.text =
      "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: " + std::to_string(size) +
      "\r\n\r\n";
  if (size <= largest_copied) {
    answer.text.append(size, 'b');
    return answer;
  }
  answer.file = memfd_create("answer", MFD_CLOEXEC);
  answer.file_size = size;
  const std::string piece(64 * 1024, 'b');
  for (uint64_t left = size; left > 0;) {
    const auto put = write(answer.file, piece.data(), std::min<uint64_t>(left, piece.size()));
    if (put <= 0) std::exit(1);
    left -= static_cast<uint64_t>(put);
  }
  return answer;
}

struct Connection {
  int descriptor = -1;
  std::array<char, 8192> head;
  size_t head_size = 0;
  uint64_t body_left = 0;
  const Answer* answer = nullptr;  // of the request that is read or answered
  uint64_t sent = 0;               // of text and file together
  bool blocked = false;
};

enum class Went { on, waits, closed };

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

uint64_t number_behind(std::string_view text, std::string_view name) {
  const auto same = [](char a, char b) { return lower(a) == b; };
  const auto at = std::ranges::search(text, name, same);
  uint64_t value = 0;
  if (!at.empty()) std::from_chars(at.end(), text.data() + text.size(), value);
  return value;
}

// True: a whole head is there; what came of its body is counted.
bool parse(Connection& c) {
  const std::string_view text(c.head.data(), c.head_size);
  const size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return false;
  const std::string_view head = text.substr(0, end);
  c.body_left = number_behind(head, "\r\ncontent-length: ");
  c.answer = &answer_of(head.starts_with("GET /bytes/") ? number_behind(head, "/bytes/") : 2);
  c.sent = 0;
  c.body_left -= std::min<uint64_t>(c.body_left, c.head_size - (end + 4));
  c.head_size = 0;
  return true;
}

Went read(Connection& c) {
  while (!c.answer || c.body_left > 0) {
    const auto got = c.answer
                         ? recv(c.descriptor, nullptr, std::min<uint64_t>(c.body_left, 1 << 20), MSG_TRUNC)
                         : recv(c.descriptor, c.head.data() + c.head_size, c.head.size() - c.head_size, 0);
    if (got < 0 && errno == EAGAIN) return Went::waits;
    if (got <= 0) return Went::closed;
    if (c.answer) {
      c.body_left -= static_cast<uint64_t>(got);
      continue;
    }
    c.head_size += static_cast<size_t>(got);
    if (!parse(c)) return c.head_size == c.head.size() ? Went::closed : Went::waits;
  }
  return Went::on;
}

Went write(Connection& c) {
  const Answer& answer = *c.answer;
  const uint64_t text = answer.text.size(), all = text + answer.file_size;
  while (c.sent < all) {
    off_t at = static_cast<off_t>(c.sent - std::min(c.sent, text));
    const int more = answer.file_size > 0 ? MSG_MORE : 0;
    const auto put = c.sent < text
                         ? send(c.descriptor, answer.text.data() + c.sent, text - c.sent, MSG_NOSIGNAL | more)
                         : sendfile(c.descriptor, answer.file, &at, all - c.sent);
    if (put < 0 && errno == EAGAIN) return Went::waits;
    if (put <= 0) return Went::closed;
    c.sent += static_cast<uint64_t>(put);
  }
  c.answer = nullptr;
  return Went::on;
}

class Loop {
 public:
  explicit Loop(int listener) : listener_(listener) { watch(EPOLL_CTL_ADD, listener_, EPOLLIN, nullptr); }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        auto* connection = static_cast<Connection*>(events[static_cast<size_t>(i)].data.ptr);
        if (connection)
          serve(*connection);
        else
          accept_all();
      }
    }
  }

 private:
  void watch(int what, int descriptor, uint32_t events, Connection* connection) const {
    epoll_event event{.events = events, .data = {.ptr = connection}};
    epoll_ctl(epoll_, what, descriptor, &event);
  }

  void accept_all() {
    for (;;) {
      const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0) return;
      auto* connection = new Connection;
      connection->descriptor = descriptor;
      watch(EPOLL_CTL_ADD, descriptor, EPOLLIN, connection);
    }
  }

  // One request a turn: the next is sent after the answer has come.
  void serve(Connection& c) {
    Went went = c.blocked ? Went::on : read(c);
    const bool asked = went == Went::on;
    if (asked) went = write(c);
    if (went == Went::closed) {
      close(c.descriptor);
      delete &c;
      return;
    }
    const bool blocked = asked && went == Went::waits;
    if (blocked != c.blocked) watch(EPOLL_CTL_MOD, c.descriptor, blocked ? EPOLLOUT : EPOLLIN, &c);
    c.blocked = blocked;
  }

  int listener_;
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("usage: penstock_bench_backend PORT\n", stderr);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(arguments[1])));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 4096) != 0) {
    std::perror("penstock_bench_backend");
    return 3;
  }
  Loop(listener).run();
}
