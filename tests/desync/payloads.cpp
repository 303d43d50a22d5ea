#include "desync/payloads.h"

#include <string_view>

using namespace std::string_literals;

namespace desync {
namespace {

using Table = std::vector<Payload>;

const std::string evil = "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n";

std::string request(std::string_view method, std::string_view fields, std::string_view body) {
  return std::string(method) + " /a HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n" +
         std::string(body);
}
std::string post(std::string_view fields, std::string_view body) { return request("POST", fields, body); }
std::string chunked(std::string_view body) { return post("Transfer-Encoding: chunked\r\n", body); }
std::string length(std::string_view body) {
  return "Content-Length: " + std::to_string(body.size()) + "\r\n";
}
std::string hex(size_t value) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%zx", value);
  return digits;
}
std::string chunk(std::string_view data) { return hex(data.size()) + "\r\n" + std::string(data) + "\r\n"; }

// Escapes for names, so that a failing case can be told from the next.
std::string shown(std::string_view text) {
  std::string out;
  for (unsigned char c : text.substr(0, 60)) {
    char escape[5];
    std::snprintf(escape, sizeof escape, "\\x%02x", c);
    out += c >= 0x20 && c < 0x7f ? std::string(1, static_cast<char>(c)) : escape;
  }
  return out;
}

void refused(Table& table, const char* family, const std::string& name, const std::string& bytes,
             int status = 400) {
  table.push_back({family, name, bytes + evil, {}, Then::refused, status});
}
void meant(Table& table, const char* family, const std::string& name, const std::string& bytes,
           std::vector<std::string> requests) {
  table.push_back({family, name, bytes, std::move(requests), Then::open, 0});
}

// --- two lengths ---

void cl_te(Table& table) {
  std::string end = "0\r\n\r\n";
  for (std::string_view coding : {"Transfer-Encoding: chunked\r\n", "transfer-encoding:chunked\r\n",
                                  "Transfer-Encoding: Chunked\r\n", "Transfer-Encoding:\tchunked\r\n"}) {
    refused(table, "CL.TE", shown(coding), post(length(end + evil) + std::string(coding), end));
    refused(table, "CL.TE", "coding first, " + shown(coding),
            post(std::string(coding) + length(end + evil), end));
    std::string inner = chunk(evil);
    refused(table, "TE.CL", shown(coding), post("Content-Length: 4\r\n" + std::string(coding), inner + end));
    refused(table, "TE.CL", "coding first, " + shown(coding),
            post(std::string(coding) + "Content-Length: 4\r\n", inner + end));
  }
  refused(table, "CL.TE", "a length of 0", post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", end));
  refused(table, "CL.TE", "in a GET", request("GET", length(end) + "Transfer-Encoding: chunked\r\n", end));
  refused(table, "CL.TE", "three fields between",
          post(length(end) + "A: 1\r\nB: 2\r\nC: 3\r\nTransfer-Encoding: chunked\r\n", end));
  refused(table, "CL.TE", "Connection: close",
          post("Connection: close\r\n" + length(end) + "Transfer-Encoding: chunked\r\n", end));
}

// Lines that one reader takes for chunked and another does not.
const std::vector<std::string>& bad_codings() {
  static const std::vector<std::string> lines{
      "Transfer-Encoding: xchunked",
      "Transfer-Encoding: chunkedx",
      "Transfer-Encoding: chunk",
      "Transfer-Encoding: chunked-x",
      "Transfer-Encoding: identity",
      "Transfer-Encoding: gzip",
      "Transfer-Encoding: deflate",
      "Transfer-Encoding: gzip, chunked",
      "Transfer-Encoding: identity, chunked",
      "Transfer-Encoding: chunked, identity",
      "Transfer-Encoding: chunked, gzip",
      "Transfer-Encoding: chunked,chunked",
      "Transfer-Encoding: ,chunked",
      "Transfer-Encoding: chunked,",
      "Transfer-Encoding: ,",
      "Transfer-Encoding:",
      "Transfer-Encoding: \"chunked\"",
      "Transfer-Encoding: 'chunked'",
      "Transfer-Encoding: \"\"",
      "Transfer-Encoding: chunked;q=1",
      "Transfer-Encoding: chunked;a",
      "Transfer-Encoding: chunked ;",
      "Transfer-Encoding: chunked chunked",
      "Transfer-Encoding: chun ked",
      "Transfer-Encoding: chun\tked",
      "Transfer-Encoding: 0chunked",
      "Transfer-Encoding: chunked #",
      "Transfer-Encoding: :chunked",
      "Transfer-Encoding: chunked:",
      "Transfer-Encoding: [chunked]",
      "Transfer-Encoding: {chunked}",
      "Transfer-Encoding: (x) chunked",
      "Transfer-Encoding:: chunked",
      "Transfer-Encoding: \x0b"
      "chunked",
      "Transfer-Encoding: \x0c"
      "chunked",
      "Transfer-Encoding: chunked\x0b",
      "Transfer-Encoding: chunked\x0c",
      "Transfer-Encoding: chunked\x1f",
      "Transfer-Encoding: chunked\x7f",
      "Transfer-Encoding: \x08"
      "chunked",
      "Transfer-Encoding: chunked\0"s,
      "Transfer-Encoding: \0chunked"s,
      "Transfer-Encoding: chu\0nked"s,
      "Transfer-Encoding: \xa0"
      "chunked",
      "Transfer-Encoding: chunked\xa0",
      "Transfer-Encoding: \x85"
      "chunked",
      "Transfer-Encoding: \xff"
      "chunked",
      "Transfer-Encoding: chun\xe2\x84\xaa"
      "ed",
      "Transfer-Encoding: \xef\xbb\xbf"
      "chunked",
      "Transfer-Encoding : chunked",
      "Transfer-Encoding\t: chunked",
      "Transfer-Encoding\x0b: chunked",
      "Transfer-Encoding\0: chunked"s,
      "Transfer-Encoding\xa0: chunked",
      "Transfer-Encoding\r: chunked",
      "Transfer-Encoding\n: chunked",
      "Transfer-Encoding\r\n : chunked",
      " Transfer-Encoding: chunked",
      "\tTransfer-Encoding: chunked",
      "\x0bTransfer-Encoding: chunked",
      "\0Transfer-Encoding: chunked"s,
      "\rTransfer-Encoding: chunked",
      "\nTransfer-Encoding: chunked",
      "\xef\xbb\xbfTransfer-Encoding: chunked",
      "Transfer Encoding: chunked",
      "Transfer\0-Encoding: chunked"s,
      "Transfer-Encoding;: chunked",
      "(Transfer-Encoding): chunked",
      "\"Transfer-Encoding\": chunked",
      "Transfer_Encoding: chunked",
      "transfer_encoding: chunked",
      "TRANSFER_ENCODING: chunked",
      "Transfer-Encoding",
      "Transfer-Encoding chunked",
      "Transfer-Encoding= chunked",
      "Transfer-Encoding:\r\n chunked",
      "Transfer-Encoding:\r\n\tchunked",
      "Transfer-Encoding: chunked\r\n\t, identity",
      "Transfer-Encoding: x\r\n chunked",
      "Transfer-Encoding:\n chunked",
      "Transfer-Encoding:\r chunked",
      "A: b\nTransfer-Encoding: chunked",
      "A: b\rTransfer-Encoding: chunked",
      "A: b\r\r\nTransfer-Encoding: chunked",
      "A: b\r\n Transfer-Encoding: chunked",
      "A: b\n\rTransfer-Encoding: chunked",
      "A: b\0\r\nTransfer-Encoding: chunked"s,
      "A\r\nTransfer-Encoding: chunked",
      ": b\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: chunked\nA: b",
      "Transfer-Encoding: chunked\rA: b",
      "Transfer-Encoding: chunked\r\r",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
      "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
      "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: chunked\r\ntransfer-encoding:",
      "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
      "Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
      "Connection: close, Transfer-Encoding\r\nTransfer-Encoding: chunked"};
  return lines;
}

void te_te(Table& table) {
  std::string end = "0\r\n\r\n";
  for (const std::string& line : bad_codings()) {
    refused(table, "TE.TE", shown(line), post(line + "\r\n", end));
    refused(table, "TE.TE with a length before", shown(line), post(length(end) + line + "\r\n", end));
    refused(table, "TE.TE with a length behind", shown(line), post(line + "\r\n" + length(end), end));
  }
  for (std::string_view line :
       {"Transfer-Encoding: chunked", "TRANSFER-ENCODING: CHUNKED", "transfer-encoding:cHuNkEd",
        "Transfer-Encoding:\tchunked", "Transfer-Encoding:  \t chunked  "})
    meant(table, "TE.TE", shown(line), post(std::string(line) + "\r\n", chunk(evil) + end) + evil,
          {"POST x /a " + evil, "GET x /evil "});
  meant(table, "TE.TE", "a name that only resembles it",
        post("X-Transfer-Encoding: chunked\r\n" + length(evil), evil), {"POST x /a " + evil});
  meant(table, "TE.TE", "Content-Encoding is no framing",
        post("Content-Encoding: chunked\r\n" + length(evil), evil), {"POST x /a " + evil});
}

// --- one length that is read in several ways ---

void lengths(Table& table) {
  for (const std::string& value : {"+5"s,
                                   "-5"s,
                                   "-0"s,
                                   "5,5"s,
                                   "5, 5"s,
                                   "5,"s,
                                   ",5"s,
                                   "5;"s,
                                   "5 5"s,
                                   "5\t5"s,
                                   "0x5"s,
                                   "0X5"s,
                                   "5h"s,
                                   "5.0"s,
                                   "5e0"s,
                                   "5_0"s,
                                   "5'0"s,
                                   "\"5\""s,
                                   "'5'"s,
                                   "five"s,
                                   ""s,
                                   " "s,
                                   "%35"s,
                                   "5#"s,
                                   "#5"s,
                                   "5\0"s,
                                   "\0005"s,
                                   "5\x0b"s,
                                   "\x0b"
                                   "5"s,
                                   "\xc2\xb2"s,
                                   "\xef\xbc\x95"s,
                                   "5\xa0"s,
                                   "\x85"
                                   "5"s,
                                   "5\r\n 6"s,
                                   "5\r\n\t6"s,
                                   "5\n6"s,
                                   "5\r6"s,
                                   "18446744073709551615"s,
                                   "18446744073709551616"s,
                                   "18446744073709551621"s,
                                   "9223372036854775808"s,
                                   "99999999999999999999999999999999"s,
                                   "-18446744073709551611"s,
                                   "5\r\nContent-Length: 5"s,
                                   "5\r\ncontent-length: 5"s,
                                   "5\r\nContent-Length: 6"s,
                                   "0\r\nContent-Length: 5"s,
                                   "5\r\nContent-Length:"s,
                                   "5\r\nContent-Length: -1"s,
                                   "5\r\nContent_Length: 5"s,
                                   "5\r\nContent-Length : 6"s,
                                   "5\r\nConnection: content-length"s,
                                   "5\r\nConnection: close, Content-Length"s})
    refused(table, "Content-Length", shown(value), post("Content-Length: " + value + "\r\n", "hello"));
  for (const std::string& name : {"Content-Length "s,
                                  "Content-Length\t"s,
                                  " Content-Length"s,
                                  "\tContent-Length"s,
                                  "Content Length"s,
                                  "Content_Length"s,
                                  "CONTENT_LENGTH"s,
                                  "Content-Length\0"s,
                                  "Content\0-Length"s,
                                  "Content-Length\x0b"s,
                                  "Content-Length\r"s,
                                  "Content-Length\n"s,
                                  "\nContent-Length"s,
                                  "\rContent-Length"s,
                                  "Content-Length;"s,
                                  "\"Content-Length\""s,
                                  "\xef\xbc\xa3ontent-Length"s,
                                  "Content-Length\xa0"s,
                                  "A: b\r\n Content-Length"s,
                                  "A: b\nContent-Length"s,
                                  "A: b\rContent-Length"s,
                                  "A: b\0\r\nContent-Length"s})
    refused(table, "Content-Length", "named " + shown(name), post(name + ": 5\r\n", "hello"));
  for (std::string_view value : {"5", "05", "0000000000000005", "  5", "\t5", "5  "})
    meant(table, "Content-Length", "in plain form: " + shown(value),
          post("Content-Length: " + std::string(value) + "\r\n", "hello") + evil,
          {"POST x /a hello", "GET x /evil "});
  table.push_back({"Content-Length",
                   "over 32 bits",
                   post("Content-Length: 4294967301\r\n", "hello") + evil,
                   {},
                   Then::waits,
                   0});
  table.push_back({"Content-Length",
                   "a byte more than there is",
                   post("Content-Length: " + std::to_string(evil.size() + 1) + "\r\n", evil),
                   {},
                   Then::waits,
                   0});
  meant(table, "Content-Length", "a name that only resembles it",
        post("X-Content-Length: 100\r\n" + length("hello"), "hello") + evil,
        {"POST x /a hello", "GET x /evil "});
}

// --- a body that somebody ignores ---

void ignored_bodies(Table& table) {
  for (std::string_view method : {"GET", "DELETE", "OPTIONS", "PATCH", "PUT", "PROPFIND"}) {
    std::string name(method);
    meant(table, "CL.0", name + " with a length", request(method, length(evil), evil),
          {name + " x /a " + evil});
    meant(table, "TE.0", name + " in chunks",
          request(method, "Transfer-Encoding: chunked\r\n", chunk(evil) + "0\r\n\r\n"),
          {name + " x /a " + evil});
    meant(table, "CL.0", name + " with a length, and another request",
          request(method, length("hello"), "hello") + evil, {name + " x /a hello", "GET x /evil "});
  }
  refused(table, "CL.0", "TRACE with a body", request("TRACE", length(evil), ""));
  meant(table, "0.CL", "no length is no body, and what follows a request", post("", evil),
        {"POST x /a ", "GET x /evil "});
  refused(table, "0.CL", "a length that is folded", post("Content-Length:\r\n 5\r\n", "hello"));
  refused(table, "0.CL", "a length behind a folded line",
          post("A: b\r\n c\r\nContent-Length: 5\r\n", "hello"));
  refused(table, "0.CL", "a length behind the empty line with a bare LF",
          "POST /a HTTP/1.1\r\nHost: x\r\n\nContent-Length: 5\r\n\r\nhello");
  meant(table, "CL.0", "an upgrade with a body",
        post("Connection: upgrade\r\nUpgrade: websocket\r\n" + length(evil), evil), {"POST x /a " + evil});
  meant(table, "CL.0", "one empty line behind a body", post(length("hello"), "hello\r\n") + evil,
        {"POST x /a hello", "GET x /evil "});
  table.push_back({"CL.0",
                   "two empty lines behind a body",
                   post(length("hello"), "hello\r\n\r\n") + evil,
                   {"POST x /a hello"},
                   Then::refused,
                   400});
  table.push_back({"CL.0",
                   "a byte behind a body",
                   post(length("hello"), "hello!\r\n") + evil,
                   {"POST x /a hello"},
                   Then::refused,
                   400});
  table.push_back({"TE.0",
                   "a byte behind the chunks",
                   chunked("0\r\n\r\n \r\n") + evil,
                   {"POST x /a "},
                   Then::refused,
                   400});
}

void expectations(Table& table) {
  for (std::string_view value :
       {"", "x", "100-continue, x", "y 100-continue", "100_continue", "100-continue;a", "200-ok",
        "100-continue, 100-continue", "\"100-continue\""})
    refused(table, "Expect", shown(value),
            post("Expect: " + std::string(value) + "\r\n" + length("hello"), "hello"), 417);
  refused(table, "Expect", "twice, once wrong",
          post("Expect: 100-continue\r\nExpect: x\r\n" + length("hello"), "hello"), 417);
  refused(table, "Expect", "folded", post("Expect:\r\n 100-continue\r\n" + length("hello"), "hello"));
  refused(table, "Expect", "and two lengths",
          post("Expect: 100-continue\r\n" + length("hello") + "Transfer-Encoding: chunked\r\n", "0\r\n\r\n"));
  for (std::string_view value : {"100-continue", "100-Continue", " 100-continue "}) {
    std::string fields = "Expect:" + std::string(value) + "\r\n";
    meant(table, "Expect", "with a body that does not wait" + shown(value),
          post(fields + length(evil), evil) + evil, {"POST x /a " + evil, "GET x /evil "});
    meant(table, "Expect", "without a body" + shown(value), request("GET", fields, "") + evil,
          {"GET x /a ", "GET x /evil "});
    meant(table, "Expect", "in a GET with a body" + shown(value), request("GET", fields + length(evil), evil),
          {"GET x /a " + evil});
  }
}

// --- chunks ---

void broken_chunks(Table& table) {
  for (const std::string& size : {""s,
                                  "+5"s,
                                  "-5"s,
                                  "0x5"s,
                                  "5h"s,
                                  " 5"s,
                                  "5 "s,
                                  "\t5"s,
                                  "5\t"s,
                                  "5_"s,
                                  "5,"s,
                                  "5.0"s,
                                  "5\x0b"s,
                                  "5\0"s,
                                  "\0005"s,
                                  "5\xa0"s,
                                  "5;"s,
                                  "5;;a"s,
                                  "5;=b"s,
                                  "5;a="s,
                                  "5;a=\"b"s,
                                  "5;a=\"b\"c"s,
                                  "5;a "s,
                                  "5;a= "s,
                                  "5 ;"s,
                                  "5;a b"s,
                                  "5;a=\"\x7f\""s,
                                  "5;a\n"s,
                                  "5;a\r"s,
                                  "5;a\0"s,
                                  "5;a=\"\r\n\""s,
                                  "5\n"s,
                                  "5\r"s,
                                  "5\r\r"s,
                                  "5\n\r"s,
                                  "10000000000000005"s,
                                  "8000000000000005"s,
                                  "ffffffffffffffff"s,
                                  "fffffffffffffffb"s,
                                  "100000000000000000005"s,
                                  "G"s,
                                  "five"s,
                                  "5\r\nhello\r\n5x"s,
                                  std::string(2000, '0') + "5",
                                  "5;" + std::string(2000, 'a')})
    refused(table, "chunk size", shown(size), chunked(size + "\r\nhello\r\n0\r\n\r\n"));
  for (const std::string& end :
       {""s, "\n"s, "\r"s, "x\r\n"s, "\r\n\r\n"s, "\n\r\n"s, "\r\r\n"s, "XX"s, "\0\0"s})
    refused(table, "chunk end", shown(end), chunked("5\r\nhello" + end + "0\r\n\r\n"));
  for (const std::string& last :
       {"0\n\r\n"s, "0\r\n\n"s, "0\n\n"s, "0\r\r\n"s, "0\r\n\r\r\n"s, "0 \r\n\r\n"s, "0\r\n \r\n\r\n"s,
        "0\r\n:\r\n\r\n"s, "0\r\nA\r\n\r\n"s, "0\r\nA : b\r\n\r\n"s, "0\r\nA: b\n\r\n"s,
        "0\r\nA: b\r\n c\r\n\r\n"s, "0\r\nA: \0\r\n\r\n"s, "0\r\nContent-Length: 5\r\n\r\n"s,
        "0\r\ncontent_length: 5\r\n\r\n"s, "0\r\nTransfer-Encoding: chunked\r\n\r\n"s,
        "0\r\nHost: evil\r\n\r\n"s, "0\r\nConnection: close\r\n\r\n"s,
        "0\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\n"s})
    refused(table, "last chunk", shown(last), chunked(last));
  refused(table, "chunk lines", "extensions without end", chunked([] {
            std::string out;
            for (int i = 0; i < 100; ++i) out += "1;" + std::string(400, 'a') + "\r\nx\r\n";
            return out;
          }()));
  std::string sizes = "005;a=b;c=\"d;\\\"\"\r\nhello\r\n" + chunk(evil) + "00;last\r\nA: b\r\n\r\n";
  meant(table, "chunk size", "zeros and extensions in plain form", chunked(sizes) + evil,
        {"POST x /a hello" + evil, "GET x /evil "});
  meant(table, "chunk size", "blanks around extensions",
        chunked("5 ;\ta = b ; c=\"d\" ;e\r\nhello\r\n0\t; a\r\n\r\n") + evil,
        {"POST x /a hello", "GET x /evil "});
  table.push_back({"chunk size", "the last chunk is missing", chunked(chunk(evil)), {}, Then::waits, 0});
  table.push_back(
      {"chunk size", "2^32 + 5", chunked("100000005\r\nhello\r\n0\r\n\r\n") + evil, {}, Then::waits, 0});
  table.push_back({"last chunk", "the empty line is missing", chunked("0\r\n"), {}, Then::waits, 0});
}

// --- the request line and lines as such ---

void lines(Table& table) {
  for (const std::string& line : {"GET /a"s,
                                  "GET"s,
                                  "GET /a "s,
                                  "GET  /a HTTP/1.1"s,
                                  "GET /a  HTTP/1.1"s,
                                  "GET /a HTTP/1.1 "s,
                                  " GET /a HTTP/1.1"s,
                                  "GET\t/a HTTP/1.1"s,
                                  "GET /a\tHTTP/1.1"s,
                                  "GET\x0b/a HTTP/1.1"s,
                                  "GET /a\x0cHTTP/1.1"s,
                                  "GET\r/a HTTP/1.1"s,
                                  "GET /a\rHTTP/1.1"s,
                                  "GET /a HTTP/1.1\r"s,
                                  "GET\0/a HTTP/1.1"s,
                                  "GET /a\0 HTTP/1.1"s,
                                  "\0GET /a HTTP/1.1"s,
                                  "GET /a\xa0HTTP/1.1"s,
                                  "GET /a HTTP/1.1 HTTP/1.1"s,
                                  "GET /a /b HTTP/1.1"s,
                                  "GET /a b HTTP/1.1"s,
                                  "GET /a HTTP/1.1\nGET /evil HTTP/1.1"s,
                                  "GET /a HTTP/0.9"s,
                                  "GET /a HTTP/1"s,
                                  "GET /a HTTP/1."s,
                                  "GET /a HTTP/.1"s,
                                  "GET /a HTTP/1.2"s,
                                  "GET /a HTTP/1.10"s,
                                  "GET /a HTTP/01.1"s,
                                  "GET /a HTTP/1.01"s,
                                  "GET /a HTTP/2.0"s,
                                  "GET /a HTTP/3"s,
                                  "GET /a HTTP/1,1"s,
                                  "GET /a HTTP 1.1"s,
                                  "GET /a http/1.1"s,
                                  "GET /a Http/1.1"s,
                                  "GET /a HTTP/1.1x"s,
                                  "GET /a xHTTP/1.1"s,
                                  "GET /a HTTPS/1.1"s,
                                  "GET /a ICE/1.0"s,
                                  "GET /a RTSP/1.0"s,
                                  "GET /a SIP/2.0"s,
                                  "HTTP/1.1 200 OK"s,
                                  "GET a HTTP/1.1"s,
                                  "GET ?a HTTP/1.1"s,
                                  "GET * HTTP/1.1"s,
                                  "GET @evil HTTP/1.1"s,
                                  "GET evil:80 HTTP/1.1"s,
                                  "GET .evil HTTP/1.1"s,
                                  "GET http:/a HTTP/1.1"s,
                                  "GET http:a HTTP/1.1"s,
                                  "GET http:// HTTP/1.1"s,
                                  "GET http:///a HTTP/1.1"s,
                                  "GET http://?a HTTP/1.1"s,
                                  "GET http://u@x/a HTTP/1.1"s,
                                  "GET http://x@evil/a HTTP/1.1"s,
                                  "GET http://x:80:80/a HTTP/1.1"s,
                                  "GET http://x\\@evil/a HTTP/1.1"s,
                                  "GET http://x#@evil/ HTTP/1.1"s,
                                  "GET http://x%2eevil/ HTTP/1.1"s,
                                  "GET ftp://x/a HTTP/1.1"s,
                                  "GET file:///etc/passwd HTTP/1.1"s,
                                  "GET httpx://x/a HTTP/1.1"s,
                                  "GET /a#b HTTP/1.1"s,
                                  "GET /\xc3\xa4 HTTP/1.1"s,
                                  "GET /\x01 HTTP/1.1"s,
                                  "GET /\x7f HTTP/1.1"s,
                                  "G(T /a HTTP/1.1"s,
                                  "G\xc3\xa4T /a HTTP/1.1"s,
                                  "GET: /a HTTP/1.1"s,
                                  "PRI * HTTP/2.0"s,
                                  "GET /a HTTP/1.1\r\n\r"s})
    refused(table, "request line", shown(line), line + "\r\nHost: x\r\n\r\n");
  for (std::string_view method :
       {"get", "Get", "GETS", "POSTGET", "FROB", "CONNECT", "PRI", "TRACK", "_", "!#$%&'*+-.^`|~"})
    refused(table, "method", std::string(method), std::string(method) + " /a HTTP/1.1\r\nHost: x\r\n\r\n",
            501);
  refused(table, "method", "CONNECT to a host", "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n", 501);
  meant(table, "method", "an override is only a field",
        request("GET", "X-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\n", ""), {"GET x /a "});
  for (const std::string& before :
       {"\n"s, "\r"s, "\n\n"s, "\r\n\r\n"s, "\r\r\n"s, " \r\n"s, "\r\n \r\n"s, "\0"s, "\x16\x03\x01"s})
    refused(table, "before the request", shown(before), before + request("GET", "", ""));
  meant(table, "before the request", "one empty line", "\r\n" + request("GET", "", ""), {"GET x /a "});
  refused(table, "line ends", "only LF", "GET /a HTTP/1.1\nHost: x\n\n");
  refused(table, "line ends", "only CR", "GET /a HTTP/1.1\rHost: x\r\r\n");
  refused(table, "line ends", "LF behind the request line", "GET /a HTTP/1.1\nHost: x\r\n\r\n");
  refused(table, "line ends", "LF behind a field", "GET /a HTTP/1.1\r\nHost: x\nA: b\r\n\r\n");
  refused(table, "line ends", "LF as the empty line", "GET /a HTTP/1.1\r\nHost: x\r\n\n");
  refused(table, "line ends", "CR CR LF as the empty line", "GET /a HTTP/1.1\r\nHost: x\r\n\r\r\n");
  refused(table, "line ends", "a blank line with a blank", "GET /a HTTP/1.1\r\nHost: x\r\n \r\n\r\n");
}

// --- fields ---

void field_names(Table& table) {
  for (const std::string& line :
       {"A : b"s,    "A\t: b"s,   "A\x0b: b"s, " A: b"s,    "\tA: b"s,     "A"s,           ": b"s,
        " : b"s,     "A b: c"s,   "A\0: b"s,   "A\r: b"s,   "A\x7f: b"s,   "A\xff: b"s,    "A(: b"s,
        "A,B: c"s,   "A;: b"s,    "A=: b"s,    "A/B: c"s,   "A\\: b"s,     "\"A\": b"s,    "[A]: b"s,
        "{A}: b"s,   "<A>: b"s,   "A?: b"s,    "A@: b"s,    "A: b\r\n c"s, "A: b\r\n\tc"s, "A:\r\n b"s,
        "A: b\0"s,   "A: b\x01"s, "A: b\x1b"s, "A: b\x7f"s, "A: b\rc"s,    "A: b\nc"s,     "A: b\r\r"s,
        "A: b\n\r"s, "A: \0"s,    "A: b\x0b"s, "A: b\x0c"s})
    refused(table, "field", shown(line), request("GET", line + "\r\n", ""));
  meant(table, "field", "obs-text and a tab in a value", request("GET", "A: \xc3\xa4\tb\xff\r\n", ""),
        {"GET x /a "});
  for (std::string_view option : {"host", "Content-Length", "transfer-encoding", "expect", "close, host",
                                  "trailer", "a b", "a;b", "\"close\"", "clo\xc3\xa9"})
    refused(table, "Connection", std::string(option),
            request("GET", "Connection: " + std::string(option) + "\r\n", ""));
  meant(table, "Connection", "names a field of no weight",
        request("GET", "Connection: A, Authorization\r\nA: b\r\nAuthorization: c\r\n", "") + evil,
        {"GET x /a ", "GET x /evil "});
}

void hosts(Table& table) {
  auto with = [](const std::string& lines) { return "GET /a HTTP/1.1\r\n" + lines + "\r\n"; };
  for (const std::string& lines : {""s,
                                   "Host:\r\n"s,
                                   "Host: \r\n"s,
                                   "Host: x\r\nHost: x\r\n"s,
                                   "Host: x\r\nHost: evil\r\n"s,
                                   "Host: x\r\nhost: evil\r\n"s,
                                   "Host: x\r\nHost:\r\n"s,
                                   "Host:\r\nHost: x\r\n"s,
                                   "Host: x, evil\r\n"s,
                                   "Host: x evil\r\n"s,
                                   "Host: x\tevil\r\n"s,
                                   "Host: x\r\n evil\r\n"s,
                                   "Host: x\r\n\tHost: evil\r\n"s,
                                   " Host: x\r\n"s,
                                   "Host : x\r\n"s,
                                   "Host\t: x\r\n"s,
                                   "Host: x\nHost: evil\r\n"s,
                                   "Host: x\rHost: evil\r\n"s,
                                   "Host: x\0evil\r\n"s,
                                   "Host: u@x\r\n"s,
                                   "Host: x@evil\r\n"s,
                                   "Host: x:80@evil\r\n"s,
                                   "Host: x/evil\r\n"s,
                                   "Host: x?evil\r\n"s,
                                   "Host: x#evil\r\n"s,
                                   "Host: x\\evil\r\n"s,
                                   "Host: http://x\r\n"s,
                                   "Host: //x\r\n"s,
                                   "Host: x:a\r\n"s,
                                   "Host: x:-1\r\n"s,
                                   "Host: x:+80\r\n"s,
                                   "Host: x:65536\r\n"s,
                                   "Host: x:080808\r\n"s,
                                   "Host: x:80:80\r\n"s,
                                   "Host: x: 80\r\n"s,
                                   "Host: x :80\r\n"s,
                                   "Host: :80\r\n"s,
                                   "Host: :\r\n"s,
                                   "Host: [::1\r\n"s,
                                   "Host: ::1\r\n"s,
                                   "Host: [x]\r\n"s,
                                   "Host: [::1]x\r\n"s,
                                   "Host: [::1]:80:80\r\n"s,
                                   "Host: [::1%25eth0]\r\n"s,
                                   "Host: [v1.x]\r\n"s,
                                   "Host: []\r\n"s,
                                   "Host: \"x\"\r\n"s,
                                   "Host: <x>\r\n"s,
                                   "Host: x;y\r\n"s,
                                   "Host: x=y\r\n"s,
                                   "Host: x%00\r\n"s,
                                   "Host: x%2eevil\r\n"s,
                                   "Host: (x)\r\n"s,
                                   "Host: {x}\r\n"s,
                                   "Host: x|y\r\n"s,
                                   "Host: *\r\n"s,
                                   "Host: \xc3\xa4\r\n"s,
                                   "Host: x\x7f\r\n"s,
                                   "Host_: x\r\n"s,
                                   "Hos\xc2\xad"
                                   "t: x\r\n"s})
    refused(table, "Host", shown(lines), with(lines));
  meant(table, "Host", "the target's authority wins", "GET http://y/a HTTP/1.1\r\nHost: x\r\n\r\n",
        {"GET y /a "});
  meant(table, "Host", "the target's authority and port win",
        "GET HTTP://Y:8080/a HTTP/1.1\r\nHost: x:80\r\n\r\n", {"GET y:8080 /a "});
  meant(table, "Host", "look-alikes are other fields",
        "GET /a HTTP/1.1\r\nHost: x\r\nX-Host: evil\r\nHost2: evil\r\n\r\n", {"GET x /a "});
  refused(table, "Host", "absolute-form and two Hosts",
          "GET http://x/a HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n");
  refused(table, "Host", "absolute-form and a Host that is none",
          "GET http://x/a HTTP/1.1\r\nHost: a b\r\n\r\n");
  refused(table, "Host", "absolute-form and no Host", "GET http://x/a HTTP/1.1\r\n\r\n");
  refused(table, "Host", "two in HTTP/1.0", "GET /a HTTP/1.0\r\nHost: x\r\nHost: evil\r\n\r\n");
}

// --- versions, upgrades, pipelines ---

void protocols(Table& table) {
  auto old = [](std::string_view fields, std::string_view body) {
    return "POST /a HTTP/1.0\r\nHost: x\r\n" + std::string(fields) + "\r\n" + std::string(body);
  };
  refused(table, "HTTP/1.0", "chunks", old("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"));
  refused(table, "HTTP/1.0", "chunks and keep-alive",
          old("Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"));
  refused(table, "HTTP/1.0", "chunks and a length",
          old("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"));
  refused(table, "HTTP/1.0", "identity", old("Transfer-Encoding: identity\r\n", ""));
  meant(table, "HTTP/1.0", "keep-alive with a length",
        old("Connection: keep-alive\r\nContent-Length: 5\r\n", "hello") + evil,
        {"POST x /a hello", "GET x /evil "});
  std::string settings =
      "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
  std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  table.push_back({"h2c",
                   "an upgrade and the preface",
                   request("GET", settings, "") + preface,
                   {"GET x /a "},
                   Then::refused,
                   400});
  table.push_back({"h2c",
                   "an upgrade with a body and the preface",
                   post(settings + length("hello"), "hello") + preface,
                   {"POST x /a hello"},
                   Then::refused,
                   400});
  refused(table, "h2c", "the preface alone", preface + std::string("\0\0\0\4\0\0\0\0\0", 9));
  meant(table, "pipeline", "three requests",
        post(length("hello"), "hello") + evil + chunked(chunk("b") + "0\r\n\r\n"),
        {"POST x /a hello", "GET x /evil ", "POST x /a b"});
  table.push_back({"pipeline",
                   "a good one, a broken one, a good one",
                   request("GET", "", "") + "GET /b HTTP/1.1\r\nHost: x\r\nbad\r\n\r\n" + evil,
                   {"GET x /a "},
                   Then::refused,
                   400});
  table.push_back({"pipeline",
                   "a good one and one of HTTP/0.9",
                   request("GET", "", "") + "GET /evil\r\n\r\n",
                   {"GET x /a "},
                   Then::refused,
                   400});
}

}  // namespace

const std::vector<Payload>& payloads() {
  static const Table table = [] {
    Table out;
    cl_te(out);
    te_te(out);
    lengths(out);
    ignored_bodies(out);
    expectations(out);
    broken_chunks(out);
    lines(out);
    field_names(out);
    hosts(out);
    protocols(out);
    return out;
  }();
  return table;
}

}  // namespace desync
