#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What is counted with proxy_cache: what the cache answers came to no server,
# and what it hides has been answered by one.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Acting;
use Test::Gray::Counted;
use Test::Gray::Process;

my $t = Test::Gray->new;

$t->daemon($_ => acting($_)) for qw(v1 v2);

my $counted = Test::Gray::Counted->new($t,
    app => [ 'server 127.0.0.1:%%PORT_v2%%;',
             'match stable $arg_stable = 1 name=named;' ]);

# a key of the document, that a request may go by a fresh entry to

my $cache = 'proxy_cache cache; proxy_cache_key $gray_app$arg_key;'
            . ' add_header X-Cache $upstream_cache_status always;';

$t->config(<<"END")->start;
http {
    proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;

${\$counted->http}
    server {
        listen 127.0.0.1:%%PORT%%;
        ${\$counted->log}

        location /cached   { proxy_pass http://app; $cache }

        location /stale    { proxy_pass http://app; $cache
                             proxy_cache_use_stale error http_500; }

        location /renewed  { proxy_pass http://app; $cache
                             proxy_cache_revalidate on; }

        location /updating { proxy_pass http://app; $cache
                             proxy_cache_use_stale updating;
                             proxy_cache_background_update on; }

        location /bypassed { proxy_pass http://app; $cache
                             proxy_cache_bypass 1; }

        location /locked   { proxy_pass http://app; $cache
                             proxy_cache_lock on; }

        location /unasked  { proxy_pass http://app; proxy_cache cache;
                             proxy_cache_key unasked;
                             add_header X-Cache \$upstream_cache_status; }

        location /fragment { proxy_pass http://app; proxy_cache cache;
                             proxy_cache_key fragment\$gray_app; }
        location = /page   { auth_request /fragment;
                             root %%DIR%%; try_files /nginx.pid =404; }
    }
}
END


# a path, what v2 is to do, $upstream_cache_status, and what is counted

sub get {
    my ($path, $do, $cache, @expected) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status) = $cache =~ /^(?:MISS|EXPIRED)$/ && $do =~ /^(\d+)/;
    my $act = $do =~ /^\+/ ? $do : "v2 $do";
    my $response = $counted->get($path, $act, $status || 200, @expected);

    is($response->{headers}{'x-cache'}, $cache, "$path $do: the cache");

    return $response;
}


my $app = 'app canary: split';
my $answered = "$app 2xx, header, duration";
my $cached = 'app canary: cached';

my $long = '+ Cache-Control: max-age=3600';
my $over = '+ Cache-Control: max-age=1';

get('cached?key=1', $long, 'MISS', $answered);
get('cached?key=1', 500, 'HIT', $cached);
get('cached?key=2', 500, 'MISS', "$app 5xx, header, duration");
get('cached?key=1&stable=1', $long, 'MISS', 'app: rule named',
    'app stable: rule 2xx, header, duration');
get('cached?key=1&stable=1', $long, 'HIT', 'app: rule named',
    'app stable: cached');
get('bypassed?key=1', '200', 'BYPASS', $answered);

# entries whose time is over, as soon as that of the last of them is

for my $key (qw(500 close revalidated updated failed last)) {
    get("cached?key=$key",
        "$over + Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT",
        'MISS', $answered);
}

my $requests = 0;

wait_until(sub {
    $requests++;
    return $t->get('/cached?key=last', 'X-Do' => 'v2 close')->{status} == 502;
});

$counted->forget($requests);

get('stale?key=500', 500, 'STALE', "$app 5xx, header, duration");
get('stale?key=close', 'close', 'STALE', "$app 5xx, reset, duration");
get('stale?key=close', 404, 'EXPIRED', "$app 4xx, header, duration");
get('renewed?key=revalidated', "304 $long", 'REVALIDATED',
    "$app 3xx, header, duration");
get('renewed?key=revalidated', 500, 'HIT', $cached);

# the update is made by the request that found it to be due

get('updating?key=failed', 'close', 'STALE', "$app 5xx, reset, duration");
get('updating?key=updated', $long, 'STALE', $answered);
get('updating?key=updated', 500, 'HIT', $cached);

# subrequests; and where the key does not ask for the variant, nobody does

get('unasked', $long, 'MISS', $answered);
get('unasked', $long, 'HIT');

for ([ 'a subrequest', $long, $answered ],
     [ 'a subrequest is cached', '+ Ignored: 1', 'app canary: local' ])
{
    my ($name, $add, @expected) = @$_;

    $counted->case($name, sub {
        is($t->get('/page', 'X-Add' => $add =~ s/^\+ //r)->{status}, 200,
           "$name: status");
    }, @expected);
}

# one fills the entry, the other waits for it

$counted->cases(2, 'two at once', sub {
    my @clients = map { $t->http->connect } 1, 2;

    $_->send(Test::Gray::HTTP::request_text('GET', '/locked?key=both',
                                            [ 'X-Add' => $long =~ s/^\+ //r ]))
        for @clients;

    is(join(' ', sort map { $_->receive->{headers}{'x-cache'} } @clients),
       'HIT MISS', 'two at once: status');
    return;
}, "$app 2xx, cached, header, duration");

# a client that is gone while the cache sends

is(length get('cached?key=large', 'large', 'MISS', $answered)->{body},
   10_000_000, 'a large entry');

$counted->case('the client leaves within what is cached', sub {
    my $connection = $t->http->connect;

    $connection->send(Test::Gray::HTTP::request_text(
                          'GET', '/cached?key=large', []));
    $connection->more;
    return;
}, $cached);

$t->done;
