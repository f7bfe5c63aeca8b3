#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# What was changed at run time survives a reload, and what was not takes up
# what nginx.conf says now.  Configurations that are refused change nothing.

use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;

my %declared = (
    live => 'variant stable; variant canary weight=10%;',
    kept => 'variant stable; variant canary weight=10%;',
    gone => 'variant stable; variant canary weight=10%;',
    late => 'variant stable; variant canary weight=10%;',
);


# the releases that are named are declared

sub text {
    my ($names, $more) = @_;

    my $releases = join '',
        map { "gray_release $_ { zone gray; hash \$arg_uid; $declared{$_} }\n" }
        @$names;

    my $locations = join '',
        map { "location /$_ { return 200 \$gray_$_; }\n" } @$names;

    $more = '' unless defined $more;

    return <<"END";
worker_processes 2;

http {
    gray_zone gray 2m;
    $releases
    server {
        listen 127.0.0.1:%%PORT%%;
        $more
        $locations
        location /gray/ { gray_admin; }
    }
}
END
}


# the variants of many users

my $users = 2000;

sub ask {
    my ($name) = @_;

    return [ map { $_->{body} }
             $t->many($users, sub { "/$name?uid=user-$_[0]" },
                      per_connection => 200) ];
}


sub left {
    my ($from, $to) = @_;

    return scalar grep { $from->[$_] eq 'canary' && $to->[$_] ne 'canary' }
                  0 .. $users - 1;
}


sub share { return scalar grep { $_ eq 'canary' } @{ $_[0] } }


sub document {
    return $t->api('GET', "/gray/releases/$_[0]")->{json};
}


sub patch {
    my ($name, $data) = @_;

    my $response = $t->api('PATCH', "/gray/releases/$name", $data);

    is($response->{status}, 200, "change of $name")
        or diag($response->{body});
}


$t->config(text([qw(live kept gone)]))->start;

my %users = map { $_ => ask($_) } qw(live kept gone);

patch('kept', { variants => { canary => { weight => 30 } },
                rules => [ { when => { '$arg_a' => '1' },
                             variant => 'canary' } ] });
patch('gone', { variants => { canary => { weight => 60 } } });

$users{$_} = ask($_) for qw(kept gone);

my %document = map { $_ => document($_) } qw(live kept gone);

# unchanged

ok($t->reload(gone => 1), 'reload');

for my $name (qw(live kept gone)) {
    is_deeply(document($name), $document{$name}, "$name: the same document");
    is_deeply(ask($name), $users{$name}, "$name: the same users");
}

is($t->get('/kept?a=1')->{body}, 'canary', 'a rule that came at run time');

# one comes, one goes, and comes back

$t->config(text([qw(live kept late)]));
ok($t->reload, 'a release comes, another one goes');

is($t->api('GET', '/gray/releases/gone')->{status}, 404, 'it is gone');
is(document('late')->{revision}, 1, 'it is there');
is_deeply(ask('kept'), $users{kept}, 'the others do not move');
is_deeply($t->api('GET', '/gray/status')->{json}{zones}[0]{undeclared},
          [ 'gone' ], 'the zone remembers it');

$t->config(text([qw(gone late kept live)]));
ok($t->reload, 'it comes back, in another order');
is_deeply(document('gone'), $document{gone}, 'as it was');
is_deeply(ask('gone'), $users{gone}, 'with its users');

# nginx.conf says another thing

$declared{$_} = 'variant third weight=5%; variant stable;'
                . ' variant canary weight=25%; baseline stable;'
    for qw(live kept);

$t->config(text([qw(live kept gone late)]));
ok($t->reload, 'nginx.conf has changed');

my $live = document('live');
my $now = ask('live');

is($live->{revision}, 2, 'taken up as another revision');
is($live->{origin}, 'nginx.conf', '... of nginx.conf');
ok(!$live->{declared_differs}, '... which it is');
is(left($users{live}, $now), 0, 'nobody leaves a variant that grows');
cmp_ok(abs(share($now) - $users * 0.25), '<',
       4 * sqrt($users * 0.25 * 0.75), 'its share is the new one');

my $kept = document('kept');

is($kept->{revision}, 2, 'what was changed at run time is kept');
is($kept->{origin}, 'api', '... by the API');
ok($kept->{declared_differs}, '... which nginx.conf is not');
is_deeply(ask('kept'), $users{kept}, '... with its users');
like($t->log, qr/gray: release "kept" was changed at run time and keeps its/,
     'the log says so');

ok($t->reload, 'reload once more');
is(document('live')->{revision}, 2, 'taken up once');

# back to what is declared

is($t->api('DELETE', '/gray/releases/kept')->{json}{revision}, 3, 'DELETE');
is(document('kept')->{origin}, 'nginx.conf', 'as declared again');
is(left(ask('kept'), $users{kept}), 0, 'nobody joins a variant that shrinks');

$declared{kept} = 'variant stable; variant canary weight=40%;';
$t->config(text([qw(live kept gone late)]));
ok($t->reload, 'nginx.conf has changed again');
is(document('kept')->{revision}, 4, 'and is taken up again');

# nothing is changed by what is refused: a fault, a zone that is too small,
# an address that is in use; nor by a mere test

my %before = map { $_ => document($_) } qw(live kept gone late);

$declared{live} = 'variant stable; variant canary weight=99%;';

my ($status, $said) = $t->test_config(text([qw(live kept)]));

is($status, 0, 'a test') or diag($said);

$t->config(text([qw(live kept gone)], 'location /x { gray_admin x; }'));
ok($t->reload(refused => qr/invalid parameter "x"/), 'a fault');

$declared{"more$_"} = 'variant stable;' for 1 .. 20;
$t->config(text([ 'live', map { "more$_" } 1 .. 20 ]));
ok($t->reload(refused => qr/gray_zone "gray" is too small, it needs \d+k/),
   'a zone that is too small');

my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
my $port = $taken->sockport;

$t->expect(qr/bind\(\) to 127\.0\.0\.1:$port failed/);
$t->config(text([qw(live kept gone late)], "listen 127.0.0.1:$port;"));
ok($t->reload(refused => qr/still could not bind/), 'an address in use');

is_deeply(document($_), $before{$_}, "$_: the same document")
    for qw(live kept gone late);
is_deeply(ask('live'), $now, 'the same users');

patch('late', { enabled => JSON::PP::false() });
is($t->get('/late?uid=1')->{body}, 'stable', 'it goes on taking changes');

$t->done;
