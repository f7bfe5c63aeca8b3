#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What an upstream block does goes on working when it is a variant: every
# balancing method, shared state, kept connections, next and backup servers.

use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;
use Test::Gray::Release;

my $t = Test::Gray->new;

# what stands before the servers, and behind them

my %method = (
    round_robin      => [ '', '' ],
    shared           => [ 'zone %s 128k;', '' ],
    kept             => [ '', 'keepalive 4;' ],
    kept_shared      => [ 'zone %s 128k;', 'keepalive 4;' ],
    least_conn       => [ 'least_conn;', '' ],
    ip_hash          => [ 'ip_hash;', '' ],
    hash             => [ 'hash $arg_server;', '' ],
    consistent       => [ 'hash $arg_server consistent;', '' ],
    random           => [ 'random;', '' ],
    random_two       => [ 'zone %s 128k; random two;', '' ],
    random_two_least => [ 'zone %s 128k; random two least_conn;',
                          'keepalive 4;' ],
);

my @upstreams;

for my $name (sort keys %method) {
    for my $variant (qw(v1 v2)) {
        my ($before, $behind) = @{ $method{$name} };

        $before = sprintf $before, "${name}_$variant" if $before =~ /%s/;

        push @upstreams, upstream("${name}_$variant", $before,
            "server 127.0.0.1:%%PORT_${variant}_a%%;",
            "server 127.0.0.1:%%PORT_${variant}_b%%;", $behind);
    }
}

for my $variant (qw(v1 v2)) {
    my $server = "server 127.0.0.1:%%PORT_${variant}_a%%";

    push @upstreams,
        upstream("dead_first_$variant",
                 'server 127.0.0.1:%%PORT_dead%% weight=100 max_fails=0;',
                 "$server;"),
        upstream("backup_$variant", 'server 127.0.0.1:%%PORT_dead%%;',
                 "$server backup;"),
        upstream("limited_$variant", "zone limited_$variant 128k;",
                 "$server max_conns=100;");
}

push @upstreams, upstream('one_dead_v1', 'server 127.0.0.1:%%PORT_v1_a%%;'),
                 upstream('one_dead_v2', 'server 127.0.0.1:%%PORT_dead%%;',
                          'server 127.0.0.1:%%PORT_dead%% backup;');

my @releases = (sort(keys %method), qw(dead_first backup limited one_dead));


sub upstream {
    my ($name, @directives) = @_;

    return "    upstream $name { @directives }\n";
}


sub release {
    my ($name) = @_;

    return <<"END";
    gray_release $name {
        zone gray;
        hash \$arg_uid;
        variant stable ${name}_v1;
        variant canary ${name}_v2 weight=0%;
        match canary \$http_x_canary = always;
    }
END
}


sub backend {
    my ($variant, $server) = @_;

    return <<"END";
    server {
        listen 127.0.0.1:%%PORT_${variant}_$server%%;
        return 200 "$variant $server \$connection_requests";
    }
END
}


my $http = join '', @upstreams,
    map({ release($_) } @releases),
    map({ (backend($_, 'a'), backend($_, 'b')) } qw(v1 v2)),
    "    server {\n        listen 127.0.0.1:%%PORT%%;\n",
    '        location /gray/ { gray_admin; }', "\n",
    map({ "        location /$_ { proxy_pass http://$_; }\n" } @releases),
    "    }\n";

$t->config(<<"END")->start;
http {
    gray_zone gray 16m;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
$http
}
END


# the first to third word of what backends answer, each a list

sub ask {
    my ($word, $path, @requests) = @_;

    return map { $_->{status} == 200 ? (split ' ', $_->{body})[$word]
                                     : $_->{status} }
        $t->many(scalar @requests, sub {
            my $request = $requests[$_[0]];
            return ("$path?uid=$request->{uid}&server="
                        . ($request->{server} || ''),
                    $request->{canary} ? ('X-Canary' => 'always') : ());
        });
}


sub users {
    my ($count, %more) = @_;

    return map { { uid => $_, %more } } 1 .. $count;
}


for my $release (grep { $_ ne 'one_dead' } @releases) {
    follows_release($t, $release, sub { ask(0, "/$release", @_) });
}

# servers within a variant

for my $release (qw(round_robin shared kept kept_shared)) {
    my %count;
    $count{$_}++ for ask(1, "/$release", users(40));

    is_deeply(\%count, { a => 20, b => 20 }, "$release: each in turn");
}

for my $release (qw(random random_two least_conn)) {
    my %count;
    $count{$_}++ for ask(1, "/$release", users(60));

    is(join(' ', sort keys %count), 'a b', "$release: both servers");
}

{
    my %seen = map { $_ => 1 } ask(1, '/ip_hash', users(20));

    is(scalar keys %seen, 1, 'ip_hash: one server for a client');
}

for my $release (qw(hash consistent)) {
    my @places = map { { uid => 1, server => "place-$_" } } 1 .. 20;
    my @first = ask(1, "/$release", @places);
    my %seen = map { $_ => 1 } @first;

    is(join(' ', sort keys %seen), 'a b', "$release: both servers");
    is_deeply([ ask(1, "/$release", @places) ], \@first,
              "$release: the same again");
    is_deeply([ ask(1, "/$release", map { { %$_, canary => 1 } } @places) ],
              [ ask(1, "/$release", map { { %$_, canary => 1 } } @places) ],
              "$release: the same again in the other variant");
}

for my $release (qw(kept kept_shared random_two_least)) {
    my ($most) = sort { $b <=> $a } ask(2, "/$release", users(40));

    cmp_ok($most, '>', 5, "$release: connections are kept");
}

# the default does not leave the variant

is_deeply([ ask(0, '/one_dead', users(10)) ], [ ('v1') x 10 ],
          'one_dead: baseline');
is_deeply([ ask(0, '/one_dead', users(10, canary => 1)) ], [ (502) x 10 ],
          'one_dead: no live server in the variant');

$t->done;
