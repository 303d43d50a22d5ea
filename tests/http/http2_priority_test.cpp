// Who is next (RFC 9218), frame by frame: two long answers on one connection whose client takes little.
#include <doctest/doctest.h>

#include "http2_client.h"

using namespace penstock;
using namespace penstock::test;
using namespace penstock::test::h2;

namespace {

// More than is written before it is looked whether the kernel takes it.
constexpr size_t long_answer = 500'000;

std::string priority_update(uint32_t stream, std::string_view field) {
  return frame(static_cast<Type>(16), none, 0, number(stream, 4).append(field));
}

size_t count(std::string_view in, std::string_view what) {
  size_t times = 0;
  for (size_t at = in.find(what); at != in.npos; at = in.find(what, at + 1)) ++times;
  return times;
}

// Stream 1 has filled the connection, stream 3 has its answer ready, too.
struct Two : Peer {
  std::string large = std::string(long_answer, 'x');

  Two(std::string_view first, std::string_view second, const std::string& before = {}) {
    auto asked = [](std::string_view priority) {
      return priority.empty() ? get() : request("GET", "/", {{"priority", std::string(priority)}});
    };
    send(setting({{4, 1 << 20}}) + window(0, 1 << 21) + before + head(1, asked(first)) +
         head(3, asked(second)));
    client.wire.transport->block();
  }
  void answer_with(size_t i, std::string_view priority = {}) {
    BlockPool pool;
    Arena arena(pool);
    Message message(arena);
    fill_response(message, 200, large.size());
    message.headers.add(HeaderId::date, "D");
    if (!priority.empty()) message.headers.add("priority", priority);
    stream(i).stream->send_head(message, EndStream::no);
    stream(i).stream->send_data(large);
    stream(i).stream->send_end();
    stream(i).stream->flush();
  }
  // What comes once the client takes all.
  std::string all_of_both() {
    got();
    client.wire.transport->room();
    std::string all = got();
    for (int i = 0; i < 20; ++i) all += got();
    REQUIRE(reader.body(1).size() == long_answer);
    REQUIRE(reader.body(3).size() == large.size());
    REQUIRE(all.find("DATA 1 ") != all.npos);
    return all;
  }
  // Whose answer is over first.
  int first_over() {
    const std::string all = all_of_both();
    return all.rfind("DATA 1 ") < all.rfind("DATA 3 ") ? 1 : 3;
  }
};

}  // namespace

TEST_CASE("answers of one urgency go one after the other where their client says so") {
  Two peer("u=3", "u=3");
  peer.answer_with(0);
  peer.answer_with(1);
  CHECK(peer.first_over() == 1);
}

TEST_CASE("an urgent answer overtakes one that is under way") {
  Two peer("u=7", "u=0");
  peer.answer_with(0);
  peer.answer_with(1);
  CHECK(peer.first_over() == 3);
}

TEST_CASE("whatever goes first leaves the others one frame of eight") {
  struct Case {
    std::string_view first, second;
  };
  const Case cases[] = {{"u=0", "u=3"}, {"u=0, i", "u=7"}, {"u=0", "u=0"}, {"u=3", ""}};
  for (const Case& each : cases) {
    CAPTURE(each.first);
    Two longer(each.first, each.second);
    longer.answer_with(0);
    longer.answer_with(1);
    const std::string all = longer.all_of_both();
    const std::string both = all.substr(0, all.rfind("DATA 1 "));
    const size_t ones = count(both, "DATA 1 "), threes = count(both, "DATA 3 ");
    CHECK(ones > 10);
    CHECK(threes >= ones / 8);
    CHECK(threes <= ones / 7 + 1);

    Two shorter(each.first, each.second);
    shorter.answer_with(0);
    shorter.large = "short";
    shorter.answer_with(1);
    const std::string rest = shorter.all_of_both();
    CHECK(count(rest.substr(0, rest.find("DATA 3 ")), "DATA 1 ") <= 8);
  }
}

TEST_CASE("a PRIORITY_UPDATE changes who is next") {
  Two peer("", "");
  peer.answer_with(0);
  peer.answer_with(1);
  SUBCASE("of the first") { peer.send(priority_update(1, "u=6")); }
  SUBCASE("of the second") { peer.send(priority_update(3, "u=1, i")); }
  CHECK(peer.first_over() == 3);
}

TEST_CASE("a PRIORITY_UPDATE may come before its request") {
  Two peer("", "", priority_update(3, "u=5") + priority_update(3, "u=1"));
  peer.answer_with(0);
  peer.answer_with(1);
  CHECK(peer.first_over() == 3);
}

TEST_CASE("a PRIORITY_UPDATE of which a part came before its connection was idle is whole") {
  Peer peer;
  peer.send(head(1, get()));
  const std::string update = priority_update(3, "u=1");
  peer.send(update.substr(0, update.size() - 2));  // the rest alone would be too short for one
  answer(peer.stream());
  peer.stream().release();
  CHECK(peer.got().starts_with("HEADERS 1 "));
  peer.answer_all();
  CHECK(peer.send(update.substr(update.size() - 2) + head(3, get())).starts_with("HEADERS 3 "));
}

TEST_CASE("PRIORITY_UPDATEs before their requests cost nothing, however many there are") {
  Peer peer;
  peer.answer_all();
  for (uint32_t id = 1; id < 600; id += 2) {
    const std::string ahead = priority_update(id + 100, "u=1") + priority_update(id, "u=2");
    REQUIRE(peer.send(ahead + head(id, get())).starts_with("HEADERS " + std::to_string(id) + " "));
  }
}

TEST_CASE("who answers may say how urgent it is, and goes on saying it to the client") {
  SUBCASE("in place of what the client said") {
    Two peer("u=0", "u=0");
    peer.answer_with(0, "u=7");
    CHECK(peer.got().find(" priority=u=7") != std::string::npos);
    peer.answer_with(1);
    CHECK(peer.first_over() == 3);
  }
  SUBCASE("what it does not say stays the client's") {
    Two peer("u=6", "u=5");
    peer.answer_with(0, "i=?0");
    peer.answer_with(1);
    CHECK(peer.first_over() == 3);
  }
  SUBCASE("also of its last PRIORITY_UPDATE") {
    Two peer("", "");
    peer.send(priority_update(1, "u=6"));
    peer.answer_with(0, "i=?0");
    peer.answer_with(1);
    CHECK(peer.first_over() == 3);
  }
  SUBCASE("and the client may say it again later") {
    Two peer("", "");
    peer.answer_with(0);
    peer.answer_with(1, "u=0");
    peer.send(priority_update(3, "u=7"));
    CHECK(peer.first_over() == 1);
  }
}

TEST_CASE("incremental answers take turns, and so do those of which nobody says anything") {
  std::string_view asked, answered;
  SUBCASE("the client says so") { asked = "i"; }
  SUBCASE("who answers does") { asked = "u=3", answered = "i"; }
  SUBCASE("nobody") {}
  SUBCASE("nobody says the contrary") { answered = "u=4"; }
  Two peer(asked, asked);
  peer.answer_with(0, answered);
  peer.answer_with(1, answered);
  peer.got();
  peer.client.wire.transport->room();
  const std::string all = peer.got();
  const size_t three = all.find("DATA 3 ");
  REQUIRE(three != all.npos);
  CHECK(all.find("DATA 1 ", three) != all.npos);
  CHECK(all.find("DATA 3 ", all.find("DATA 1 ", three)) != all.npos);
}

TEST_CASE("a PRIORITY_UPDATE that is none ends the connection, and one for nobody means nothing") {
  {
    Peer peer;
    CHECK(peer.send(priority_update(0, "u=1")) == "GOAWAY 0 1");
  }
  {
    Peer peer;
    CHECK(peer.send(frame(static_cast<Type>(16), none, 1, number(1, 4))) == "GOAWAY 0 1");
  }
  {
    Peer peer;
    CHECK(peer.send(frame(static_cast<Type>(16), none, 0, "abc")) == "GOAWAY 0 6");
  }
  Peer peer;
  peer.answer_all();
  CHECK(peer.send(priority_update(7, "u=1") + head(1, get())).starts_with("HEADERS 1 "));
  CHECK(peer.send(priority_update(1, "u=1") + head(3, get())).starts_with("HEADERS 3 "));
  const std::string long_field = "u=1, x=\"" + std::string(16'000, 'y') + "\"";
  CHECK(peer.send(priority_update(5, long_field) + head(5, get())).starts_with("HEADERS 5 "));
}
