#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A request whose variant has no live peer left goes on to the baseline, where
# nginx would have tried another peer, and nowhere else; what the variant's
# peers have failed by is noted.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Backend;
use Test::Gray::Process;

# kinds of failures are told in the debug log alone

my $debug = Test::Gray->has('--with-debug');

my $t = Test::Gray->new($debug ? (level => 'debug') : ());

# of reading from upstreams, in ms: those that answer do so in time

my $timeout = 1000 * $Test::Gray::Process::scale;

$t->daemon($_ => acting($_)) for qw(v1 v2);
$t->daemon(php => fastcgi(sub { return 'v1 ' . length $_[1] }));


# -- the configuration

sub server {
    my ($name, $more) = @_;

    return "server 127.0.0.1:%%PORT_$name%%" . ($more ? " $more;" : ';');
}


my $two = server('dead', 'max_fails=0') . server('dead2', 'max_fails=0');

# upstreams of canaries, each with a release of its name, whose baseline is v1

my %canary = (
    one        => server('dead'),
    two        => $two,
    marked     => server('dead') . server('dead2'),
    down       => server('v2', 'down'),
    downs      => server('v2', 'down') . server('dead', 'down'),
    v2         => server('v2'),
    mixed      => server('v2', 'max_fails=0') . server('dead', 'max_fails=0'),
    backup     => server('dead') . server('v2', 'backup'),
    kept       => server('v2') . 'keepalive 4;',
    shared     => "zone shared 128k; $two",
    least_conn => "least_conn; $two",
    ip_hash    => "ip_hash; $two",
    hash       => "hash \$request_id; $two",
    consistent => "hash \$request_id consistent; $two",
    random     => "random; $two",
    random_two => "zone random_two 128k; random two; $two keepalive 4;",
    dead_kept  => "$two keepalive 4;",
);

my %upstream = (
    %canary,
    base      => server('v1'),
    base_kept => server('v1') . 'keepalive 4;',
    several   => $two . server('v1', 'backup'),
    php       => server('php'),
    no_php    => server('dead'),
);

# other releases: the canary's upstream, the baseline's, and a directive

my %release = (
    (map { $_ => [ "up_$_", 'up_base', 'fallback baseline;' ] } keys %canary),
    default   => [ 'up_one', 'up_base', '' ],
    off       => [ 'up_one', 'up_base', 'fallback off;' ],
    same      => [ 'up_one', 'up_one', 'fallback baseline;' ],
    dead_too  => [ 'up_two', 'up_one', 'fallback baseline;' ],
    down_too  => [ 'up_two', 'up_down', 'fallback baseline;' ],
    downs_too => [ 'up_downs', 'up_down', 'fallback baseline;' ],
    several   => [ 'up_one', 'up_several', 'fallback baseline;' ],
    to_kept   => [ 'up_one', 'up_base_kept', 'fallback baseline;' ],
    live      => [ 'up_one', 'up_base', '' ],
);

# locations that are not as the release of their name: the release, directives

my %location = (
    one_try      => [ 'one', 'proxy_next_upstream_tries 1;' ],
    one_tries    => [ 'one', 'proxy_next_upstream_tries 2;' ],
    two_try      => [ 'two', 'proxy_next_upstream_tries 1;' ],
    two_tries    => [ 'two', 'proxy_next_upstream_tries 2;' ],
    two_more     => [ 'two', 'proxy_next_upstream_tries 3;' ],
    marked_try   => [ 'marked', 'proxy_next_upstream_tries 1;' ],
    down_try     => [ 'down', 'proxy_next_upstream_tries 1;' ],
    several_try  => [ 'several', 'proxy_next_upstream_tries 2;' ],
    several_more => [ 'several', 'proxy_next_upstream_tries 3;' ],
    kept_try     => [ 'kept', 'proxy_next_upstream_tries 1;' ],
    kept_tries   => [ 'kept', 'proxy_next_upstream_tries 2;' ],
    one_never    => [ 'one', 'proxy_next_upstream off;' ],
    down_never   => [ 'down', 'proxy_next_upstream off;' ],
    one_timeout  => [ 'one', 'proxy_next_upstream timeout;' ],
    v2_500       => [ 'v2', 'proxy_next_upstream error http_500 http_404;' ],
    v2_500_try   => [ 'v2', 'proxy_next_upstream http_500;'
                            . ' proxy_next_upstream_tries 1;' ],
    mixed_500    => [ 'mixed', 'proxy_next_upstream error http_500;' ],
    v2_invalid   => [ 'v2', 'proxy_next_upstream invalid_header;' ],
    v2_post      => [ 'v2', 'proxy_next_upstream error timeout http_500'
                            . ' non_idempotent;' ],
    v2_late      => [ 'v2', 'proxy_next_upstream_timeout 1ms;' ],
    v2_stream    => [ 'v2', 'proxy_buffering off;' ],
    v2_unread    => [ 'v2', 'proxy_request_buffering off; '
                            . 'proxy_next_upstream error non_idempotent;' ],
    one_unread   => [ 'one', 'proxy_request_buffering off;' ],
    variable     => [ 'one', 'set $to one; proxy_pass http://$to;' ],
    checked      => [ 'one', 'auth_request /one;' ],
);

for my $name (keys %release) {
    $location{$name} ||= [ $name, '' ];
}


# connections are kept where that is said, and not by nginx's own default

sub upstream {
    my ($name, $servers) = @_;

    $servers .= ' keepalive 0;'
        if $servers !~ /keepalive/ && $t->version_at_least('1.29.7');

    return "    upstream up_$name { $servers }\n";
}


sub release {
    my ($name) = @_;

    my ($canary, $baseline, $directive) = @{ $release{$name} };

    return <<"END";
    gray_release $name {
        zone gray;
        variant stable $baseline;
        variant canary $canary weight=100%;
        $directive
    }
END
}


sub location {
    my ($name) = @_;

    my ($release, $directives) = @{ $location{$name} };

    $directives .= " proxy_pass http://$release;"
        unless $directives =~ /proxy_pass/;

    return <<"END";
        location = /$name {
            add_header X-Address \$upstream_addr always;
            add_header X-Decision "\$gray_$release \$gray_${release}_upstream"
                       always;
            $directives
        }
END
}


my $http = join '', map({ upstream($_, $upstream{$_}) } sort keys %upstream),
    map({ release($_) } sort keys %release),
    "    server {\n        listen 127.0.0.1:%%PORT%%;\n",
    map({ location($_) } sort keys %location), <<'END';
        location = /php {
            add_header X-Address $upstream_addr;
            fastcgi_pass php;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_LENGTH $content_length;
        }
        location /gray/ { gray_admin; }
    }
END

$t->config(<<"END")->start;
http {
    gray_zone gray 16m document=1k;
    variables_hash_bucket_size 128;

    gray_release php {
        zone gray;
        variant stable up_php;
        variant canary up_no_php weight=100%;
        fallback baseline;
    }

    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout ${timeout}ms;

$http
}
END


# -- what comes of a request

my %name = map { ('127.0.0.1:' . $t->port($_) => $_) } qw(v1 v2 dead dead2 php);
my $offset = 0;


# STATUS or the first words of a body, the peers that were tried, and what
# those of the canary have failed by

sub told {
    my ($path, %option) = @_;

    my @headers = $option{do} ? ('X-Do' => "v2 $option{do}") : ();
    my $response = $t->request($option{method} || 'GET', $path, \@headers,
                               $option{body});
    my $address = $response->{headers}{'x-address'};

    $address = '' unless defined $address;

    return ($response->{status} == 200 ? $response->{body}
                                       : $response->{status},
            join(' ', map { $name{$_} || $_ } split /, /, $address),
            failures());
}


# those of the last request, once it is through

sub failures {
    return '' unless $debug;

    wait_until(sub { substr($t->log, $offset) =~ /http log handler/ })
        or die "the request has no end\n";

    my $text = substr $t->log, $offset;
    my %n = $text =~ /gray: \S+ (\w+) failures: (\d+)/g;

    $offset += length $text;

    return join ' ', map { ($_) x $n{$_} } sort keys %n;
}


sub api {
    my $answer = $t->api(@_);

    failures();
    return $answer;
}


sub expect {
    my ($path, $option, @expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $name = join ' ', $path, map { "$_=" . substr $option->{$_}, 0, 20 }
                                sort keys %$option;

    $expected[2] = '' unless $debug;

    # which of two servers is the first is for the method to say

    is(join(' | ', told("/$path", %$option)) =~ s/dead2/dead/gr,
       join(' | ', @expected), $name);
}


my $v1 = 'v1 GET 0 1';
my $v2 = 'v2 GET 0 1';

# dead servers

expect('default', {}, 502, 'dead', 'connect');
expect('off', {}, 502, 'dead', 'connect');
expect('one', {}, $v1, 'dead v1', 'connect');
expect('same', {}, 502, 'dead', 'connect');
expect('variable', {}, $v1, 'dead v1', 'connect');
expect('backup', {}, $v2, 'dead v2', 'connect');
expect('several', {}, $v1, 'dead dead dead v1', 'connect');

for my $method (qw(two shared least_conn ip_hash hash consistent random
                   random_two dead_kept))
{
    my ($body, $peers, $failures) = told("/$method");

    is($body, $v1, "$method: the baseline");
    is(join(' ', sort split / /, $peers), 'dead dead2 v1',
       "$method: each of its peers was tried once");
    is($failures, $debug ? 'connect connect' : '', "$method: failures");
}

# what was decided stays as it is

{
    my $response = $t->get('/one');

    is($response->{headers}{'x-decision'}, 'canary up_one', 'variables');
    failures();
}

# no server is tried at all

expect('down', {}, $v1, 'v1', 'no_live');
expect('downs', {}, $v1, 'v1', 'no_live');
expect('down_try', {}, $v1, 'v1', 'no_live');
expect('down_never', {}, $v1, 'v1', 'no_live');

{
    my ($body, $peers, $failures) = told('/marked');

    is($body, $v1, 'marked: the first request');
    is(join(' ', sort split / /, $peers), 'dead dead2 v1', 'marked: peers');
}

expect('marked', {}, $v1, 'v1', 'no_live');
expect('marked_try', {}, $v1, 'v1', 'no_live');

# the baseline is dead, too: that is none of the variant's failures

expect('dead_too', {}, 502, 'dead dead dead', 'connect connect');
expect('down_too', {}, 502, 'dead dead up_down', 'connect connect');
expect('downs_too', {}, 502, 'up_down', 'no_live');

# so many tries, for both together

expect('one_try', {}, 502, 'dead', 'connect');
expect('one_tries', {}, $v1, 'dead v1', 'connect');
expect('two_more', {}, $v1, 'dead dead v1', 'connect connect');
expect('several_try', {}, 502, 'dead dead', 'connect');
expect('several_more', {}, 502, 'dead dead dead', 'connect');
expect('two_try', {}, 502, 'dead', 'connect');
expect('two_tries', {}, 502, 'dead dead', 'connect connect');

# nginx goes on for what it is told

expect('one_never', {}, 502, 'dead', 'connect');
expect('one_timeout', {}, 502, 'dead', 'connect');

expect('v2', { do => 'silent' }, $v1, 'v2 v1', 'timeout');
expect('v2_late', { do => 'silent' }, 504, 'v2', 'timeout');
expect('v2', { do => 'close' }, $v1, 'v2 v1', 'reset');
expect('v2', { do => 'reset' }, $v1, 'v2 v1', 'reset');
expect('v2', { do => 'part' }, $v1, 'v2 v1', 'invalid');
expect('v2', { do => 'invalid' }, 502, 'v2', 'invalid');
expect('v2_invalid', { do => 'invalid' }, $v1, 'v2 v1', 'invalid');
expect('v2', { do => 'big' }, 502, 'v2', 'invalid');
expect('v2_invalid', { do => 'big' }, $v1, 'v2 v1', 'invalid');

expect('v2', {}, $v2, 'v2', '');
expect('v2', { do => 500 }, 500, 'v2', '');
expect('v2', { do => 404 }, 404, 'v2', '');
expect('v2_500', { do => 500 }, $v1, 'v2 v1', 'status');
expect('v2_500', { do => 404 }, $v1, 'v2 v1', 'status');
expect('v2_500', { do => 503 }, 503, 'v2', '');
expect('v2_500_try', { do => 500 }, 500, 'v2', '');

{
    my ($body, $peers, $failures) = told('/mixed_500', do => 500);

    is($body, $v1, 'mixed_500: the baseline');
    is(join(' ', sort split / /, $peers), 'dead v1 v2', 'mixed_500: peers');
    is(join(' ', sort split / /, $failures), $debug ? 'connect status' : '',
       'mixed_500: failures');
}

# a body that may have been taken already

for my $size (10, 100_000) {
    my %post = (method => 'POST', body => 'x' x $size);

    expect('one', { %post }, "v1 POST $size 1", 'dead v1', 'connect');
    expect('v2', { %post, do => 'close' }, 502, 'v2', 'reset');
    expect('v2_post', { %post, do => 'close' }, "v1 POST $size 1", 'v2 v1',
           'reset');
    expect('v2_500', { %post, do => 500 }, 500, 'v2', '');
    expect('v2_post', { %post, do => 500 }, "v1 POST $size 1", 'v2 v1',
           'status');
    expect('one_unread', { %post }, "v1 POST $size 1", 'dead v1', 'connect');
}

expect('v2_unread', { method => 'POST', body => 'x' x 100_000,
                      do => 'close' }, 502, 'v2', 'reset');

expect('v2', { method => 'POST', body => 'x', do => 'silent' }, 504, 'v2',
       'timeout');
expect('v2_post', { method => 'POST', body => 'x', do => 'silent' },
       'v1 POST 1 1', 'v2 v1', 'timeout');

# a response that has begun

for my $path (qw(v2 v2_stream)) {
    for ([ short => 'reset' ], [ cut => 'reset' ], [ stall => 'timeout' ]) {
        my ($do, $kind) = @$_;

        my $bytes = $t->http->raw("GET /$path HTTP/1.1\r\nHost: a\r\n"
                                  . "Connection: close\r\nX-Do: v2 $do\r\n"
                                  . "\r\n");

        # what there is of the body stays in the buffer until it times out

        my $begin = $path eq 'v2' && $do eq 'stall' ? '' : "v2 $do";

        like($bytes, qr/^HTTP\/1\.1 200 .*\r\n\r\n.*$begin/s,
             "$path $do: its begin");
        unlike($bytes, qr/v1/, "$path $do: nothing of the baseline");
        is(failures(), $debug ? $kind : '', "$path $do: failure");
    }

    expect($path, { do => 'end' }, 'v2 end', 'v2', '');
}

is($t->request('HEAD', '/v2')->{status}, 200, 'HEAD');
is(failures(), '', 'HEAD: no failure');

# the client does not wait for the end

SKIP: {
    skip 'no debug log', 2 unless $debug;

    my $connection = $t->http->connect;

    $connection->send("GET /v2 HTTP/1.1\r\nHost: a\r\nX-Do: v2 silent\r\n"
                      . "\r\n");
    wait_until(sub { substr($t->log, $offset)
                     =~ /http upstream send request body/ });
    undef $connection;

    ok(wait_until(sub { substr($t->log, $offset)
                        =~ /close http upstream connection/ }),
       'the client closes');
    is(failures(), '', 'the client closes: no failure');
}

# kept connections that turn out to be closed

my $close = sub { return told("/$_[0]", do => 'once') };

for my $path (qw(kept kept_try kept_tries)) {
    told("/$path", do => 'close');
    is(join(' | ', $close->($path)), "$v2 | v2 | ", "$path: the first");
    is(join(' | ', $close->($path)),
       "$v2 | v2 v2 | " . ($debug ? 'reset' : ''), "$path: the peer again");

    if ($path eq 'kept_try') {
        expect($path, { do => 'close' }, 502, 'v2 v2', 'reset reset');

    } else {
        expect($path, { do => 'close' }, $v1, 'v2 v2 v1', 'reset reset');
    }
}

for my $count (1 .. 3) {
    expect('to_kept', {}, "v1 GET 0 $count", 'dead v1', 'connect');
}

# two passes of one decision, and another protocol

expect('checked', {}, $v1, 'dead v1', 'connect connect');

expect('php', { method => 'POST', body => 'x' x 100_000 }, 'v1 100000',
       'dead php', 'connect');

# by the API

my $live = '/gray/releases/live';

expect('live', {}, 502, 'dead', 'connect');
ok(!exists api('GET', $live)->{json}{fallback}, 'nothing is filled in');

for ([ baseline => $v1, 'dead v1' ], [ off => 502, 'dead' ],
     [ baseline => $v1, 'dead v1' ])
{
    my ($value, @expected) = @$_;

    is(api('PATCH', $live, { fallback => $value })->{json}{fallback},
       $value, "PATCH: $value");
    expect('live', {}, @expected, 'connect');
}

api('PATCH', $live, { fallback => undef });
expect('live', {}, 502, 'dead', 'connect');

api('PATCH', '/gray/releases/one', { enabled => JSON::PP::false() });
expect('one', {}, $v1, 'v1', '');

$t->done;
