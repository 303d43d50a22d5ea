// Syslog messages and the ways they go, against receivers that come late, cut connections or take nothing.
#include <doctest/doctest.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <regex>
#include <thread>

#include "logging/syslog_header.h"
#include "logging/syslog_sink.h"
#include "plugins/harness.h"
#include "plugins/log_receiver.h"
#include "plugins/log_support.h"

using namespace penstock::plugin::testing;
using namespace std::chrono_literals;
using logging::Destination;
using logging::Loss;

namespace {

class Sender {
 public:
  explicit Sender(const std::string& to, size_t queue = 1 << 16,
                  std::chrono::milliseconds give_up = log_patience,
                  std::chrono::milliseconds linger = log_patience)
      : writer_(std::make_unique<logging::Writer>(
            [&](logging::Ending& ending) -> std::unique_ptr<logging::Sink> {
              const logging::SyslogSettings settings{destination(to), log_patience, {1ms, 20ms, give_up}};
              if (settings.to.kind == Destination::Kind::syslog_tcp)
                return std::make_unique<logging::StreamSyslogSink>(settings, heard, ending);
              return std::make_unique<logging::DatagramSyslogSink>(settings, heard, ending);
            },
            heard, queue, linger)),
        ring_(writer_->attach()) {}
  ~Sender() { end(); }
  bool push(const std::string& line) {
    const bool there = ring_->push(line + "\n");
    writer_->pushed();
    return there;
  }
  void end() {
    if (ring_ != nullptr) ring_->close();
    ring_ = nullptr;
    if (writer_) writer_->pushed();
    writer_.reset();
  }
  Heard heard;

 private:
  std::unique_ptr<logging::Writer> writer_;
  logging::Ring* ring_;
};

// One message of a stream: its length, a blank, itself.
std::string frame(e2e::Client& peer) {
  const std::string length = peer.read_through(" ");
  return peer.read(std::stoul(length));
}

// A unix socket for datagrams, with its name in the file system.
class UnixReceiver {
 public:
  explicit UnixReceiver(const std::string& path)
      : descriptor_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw e2e::Failure("no unix socket");
  }
  ~UnixReceiver() { ::close(descriptor_); }
  std::string datagram() {
    pollfd ready{descriptor_, POLLIN, 0};
    if (::poll(&ready, 1, e2e::left_ms(e2e::Clock::now() + e2e::patience)) <= 0)
      throw e2e::Failure("nothing comes");
    char buffer[65536];
    const ssize_t n = ::recv(descriptor_, buffer, sizeof buffer, 0);
    return {buffer, n > 0 ? static_cast<size_t>(n) : 0};
  }

 private:
  int descriptor_;
};

}  // namespace

TEST_CASE("destinations are read as they are written, and wrong ones are refused") {
  using Kind = Destination::Kind;
  CHECK(destination("stdout").kind == Kind::standard_output);
  CHECK(destination("state/access.log").path == "state/access.log");
  CHECK(destination("syslog:unix:/dev/log").path == "/dev/log");
  const Destination udp = destination("syslog:udp:127.0.0.1:514");
  CHECK(udp.kind == Kind::syslog_udp);
  CHECK(udp.host == "127.0.0.1");
  CHECK(udp.port == "514");
  const Destination six = destination("syslog:tcp:[::1]:601");
  CHECK(six.kind == Kind::syslog_tcp);
  CHECK(six.host == "::1");
  CHECK(destination("https://logs.example.com:9200/_bulk?pipeline=x").kind == Kind::http);
  for (const char* wrong :
       {"", "syslog:", "syslog:udp:", "syslog:udp:host", "syslog:udp:host:", "syslog:udp:host:0",
        "syslog:udp:host:65536", "syslog:udp:host:5x", "syslog:udp:::1:514", "syslog:udp::514",
        "syslog:tls:h:1", "syslog:unix:", "syslog:unix:dev/log", "http://", "http:///x", "http://:80/",
        "http://u:p@host/", "http://host/a b"}) {
    CAPTURE(wrong);
    std::string error;
    CHECK_FALSE(logging::parse_destination(wrong, error).has_value());
    CHECK(error != "");
  }
}

TEST_CASE("a message begins as RFC 5424 has it, with a severity by the status") {
  logging::SecondText time;
  const auto begin = [&](std::string_view host, uint16_t status) {
    const logging::SyslogHeader header(logging::Facility::local7, "penstock", host, 4711);
    logging::Line line;
    header.begin(line, status, 1'800'000'000'123'456'789, time);
    return std::string(line.text());
  };
  CHECK(begin("gw-1", 200) == "<190>1 2027-01-15T08:00:00.123Z gw-1 penstock 4711 access - ");
  CHECK(begin("gw-1", 404).starts_with("<189>1 "));
  CHECK(begin("gw-1", 503).starts_with("<187>1 "));
  CHECK(begin("gw-1", 0).starts_with("<187>1 "));
  CHECK(begin("", 200).find("Z - penstock") != std::string::npos);
  CHECK(begin("two words", 200).find("Z - penstock") != std::string::npos);
  CHECK(begin(std::string(255, 'h'), 200).size() <= logging::SyslogHeader::max_size);
}

TEST_CASE(
    "over TCP each message is counted off, in order, and none is lost or sent twice when the receiver "
    "restarts") {
  Receiver receiver;
  Sender sender("syslog:tcp:" + receiver.address());
  int n = 0;
  const auto push = [&](int count) {
    for (int i = 0; i < count; ++i) REQUIRE(sender.push("message " + std::to_string(n++)));
  };
  push(100);
  auto peer = receiver.accept();
  int expected = 0;
  for (; expected < 100; ++expected) REQUIRE(frame(*peer) == "message " + std::to_string(expected));
  for (const bool rudely : {false, true}) {
    CAPTURE(rudely);
    if (rudely) peer->reset();
    peer.reset();
    push(100);
    peer = receiver.accept();
    for (; expected < n; ++expected) REQUIRE(frame(*peer) == "message " + std::to_string(expected));
  }
  std::thread ending([&] { sender.end(); });
  CHECK(peer->at_end());
  peer.reset();
  ending.join();
  CHECK(sender.heard.all_lost() == 0);
}

TEST_CASE("a message that was cut within comes again as a whole") {
  Receiver receiver;
  Sender sender("syslog:tcp:" + receiver.address(), 1 << 24);
  // More than the connection takes while nobody reads: the writer stands within a message when it breaks.
  std::vector<std::string> messages;
  for (int i = 0; i < 1000; ++i) {
    messages.push_back(std::to_string(i) + std::string(8000, 'x'));
    REQUIRE(sender.push(messages.back()));
  }
  auto peer = receiver.accept();
  for (size_t i = 0; i < 10; ++i) REQUIRE(frame(*peer) == messages[i]);
  peer->read(100);
  peer->reset();
  peer = receiver.accept();
  // What had reached this side's kernel is gone with it, and what follows comes whole and in order.
  const std::string first = frame(*peer);
  size_t at = static_cast<size_t>(std::find(messages.begin(), messages.end(), first) - messages.begin());
  REQUIRE(at < messages.size());
  CHECK(at >= 10);
  for (++at; at < messages.size(); ++at) REQUIRE(frame(*peer) == messages[at]);
  std::thread ending([&] { sender.end(); });
  CHECK(peer->at_end());
  peer.reset();
  ending.join();
  CHECK(sender.heard.all_lost() == 0);
}

TEST_CASE("a receiver over TCP that comes late gets what waits; what did not fit was refused at the door") {
  Receiver receiver(Receiver::Begin::closed);
  Sender sender("syslog:tcp:" + receiver.address(), 4096);
  sender.push("message 0");
  sender.heard.await_failure();
  int pushed = 1, dropped = 0;
  for (; pushed < 2000; ++pushed)
    if (!sender.push("message " + std::to_string(pushed))) ++dropped;
  CHECK(dropped > 0);
  receiver.listen();
  auto peer = receiver.accept();
  int last = -1;
  for (int got = 0; got < pushed - dropped; ++got) {
    const std::string message = frame(*peer);
    const int number = std::stoi(message.substr(8));
    REQUIRE(number > last);
    last = number;
  }
  sender.heard.await_recovery();
  CHECK(sender.heard.all_lost() == 0);
}

TEST_CASE("a receiver over TCP that stays away costs what was tried for long enough") {
  Receiver receiver(Receiver::Begin::closed);
  Sender sender("syslog:tcp:" + receiver.address(), 1 << 16, 0ms);
  REQUIRE(sender.push("message"));
  sender.heard.await_lost(Loss::unavailable, 1);
  CHECK(sender.heard.failures().find("refused") != std::string::npos);
}

TEST_CASE("what is queued for a receiver that is away is counted at the end") {
  Receiver receiver(Receiver::Begin::closed);
  Sender sender("syslog:tcp:" + receiver.address(), 1 << 16, log_patience, 50ms);
  for (int i = 0; i < 20; ++i) REQUIRE(sender.push("message"));
  sender.end();
  CHECK(sender.heard.lost(Loss::shutdown) == 20);
}

TEST_CASE("over UDP each message is a datagram, without the end of its line") {
  Receiver receiver(Receiver::Begin::listening, SOCK_DGRAM);
  Sender sender("syslog:udp:" + receiver.address());
  for (int i = 0; i < 50; ++i) REQUIRE(sender.push("message " + std::to_string(i)));
  for (int i = 0; i < 50; ++i) CHECK(receiver.datagram() == "message " + std::to_string(i));
}

TEST_CASE("over UDP a message is lost and counted when the receiver's host says that nobody is there") {
  auto receiver = std::make_unique<Receiver>(Receiver::Begin::listening, SOCK_DGRAM);
  Sender sender("syslog:udp:" + receiver->address());
  REQUIRE(sender.push("first"));
  CHECK(receiver->datagram() == "first");
  receiver.reset();
  REQUIRE(sender.push("second"));
  REQUIRE(sender.push("third"));
  sender.heard.await_lost(Loss::unavailable, 1);
  CHECK(sender.heard.failures().find("refused") != std::string::npos);
}

TEST_CASE("a unix socket that is not there yet, or comes back, gets everything in order") {
  Folder folder;
  const std::string path = folder.path + "/log";
  Sender sender("syslog:unix:" + path);
  for (int i = 0; i < 100; ++i) REQUIRE(sender.push("message " + std::to_string(i)));
  sender.heard.await_failure();
  auto receiver = std::make_unique<UnixReceiver>(path);
  for (int i = 0; i < 100; ++i) REQUIRE(receiver->datagram() == "message " + std::to_string(i));
  receiver.reset();
  ::unlink(path.c_str());
  receiver = std::make_unique<UnixReceiver>(path);
  for (int i = 100; i < 200; ++i) REQUIRE(sender.push("message " + std::to_string(i)));
  for (int i = 100; i < 200; ++i) REQUIRE(receiver->datagram() == "message " + std::to_string(i));
  CHECK(sender.heard.all_lost() == 0);
}

TEST_CASE("the plugin sends records as syslog messages, as long as the configuration allows") {
  Receiver receiver(Receiver::Begin::listening, SOCK_DGRAM);
  World w;
  REQUIRE(w.load(shipped("logging")) == "");
  const nlohmann::json config{
      {"file", "syslog:udp:" + receiver.address()},
      {"syslog", {{"facility", "daemon"}, {"app_name", "edge"}, {"max_message", "1KiB"}}}};
  auto* log = w.make("logging", "l", config.dump().c_str());
  REQUIRE_MESSAGE(log != nullptr, w.messages());
  const auto complete = [&](const std::string& path, uint16_t status) {
    Request r(w);
    r.context.sent_path = path;
    penstock::proxy::Summary s;
    s.status = status;
    s.start_wall_ns = r.context.wall_ns;
    s.request_id = r.context.request_id;
    log->on_complete(r.call(*log), s);
    return receiver.datagram();
  };
  const std::regex form(R"(<(\d+)>1 2027-01-15T08:00:00\.000Z \S+ edge \d+ access - (\{.*\}))");
  std::smatch parts;
  const std::string good = complete("/orders/17", 200);
  REQUIRE_MESSAGE(std::regex_match(good, parts, form), good);
  CHECK(parts[1] == "30");
  CHECK(nlohmann::json::parse(parts[2].str())["url.path"] == "/orders/17");
  CHECK(w.counted("penstock_log_cut_total", "l") == 0);
  const std::string bad = complete("/" + std::string(5000, 'x'), 500);
  CHECK(bad.size() <= 1024);
  REQUIRE_MESSAGE(std::regex_match(bad, parts, form), bad);
  CHECK(parts[1] == "27");
  CHECK(nlohmann::json::parse(parts[2].str())["http.response.status_code"] == 500);
  CHECK(w.counted("penstock_log_cut_total", "l") == 1);
}
