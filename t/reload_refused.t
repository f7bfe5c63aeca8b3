#!/usr/bin/perl

# Copyright (C) the nginx gray module authors
#
# A configuration that is refused after its zones were made leaves nothing in
# them that later ones would miss.

use strict;
use warnings;

use FindBin;
use JSON::PP ();
use Test::More;

use lib "$FindBin::Bin/lib";
use Test::Gray;

my $t = Test::Gray->new;


# what is refused listens on an address of another machine

sub text {
    my ($zone, $releases, $refused) = @_;

    my $declared = join '',
        map { "gray_release $_ { zone gray; hash \$arg_uid;"
              . " variant stable; variant canary weight=100%; }\n" }
        @$releases;

    my $locations = join '',
        map { "location = /$_ { return 200 \$gray_${_}:\$gray_${_}_reason; }\n" }
        @$releases;

    my $listen = $refused ? 'listen 192.0.2.1:81;' : '';

    return <<"END";
http {
    gray_zone gray $zone;
    $declared
    server {
        listen 127.0.0.1:%%PORT%%;
        $listen
        $locations
        location /gray/ { gray_admin; }
    }
}
END
}


sub status { return $t->api('GET', '/gray/status')->{json} }


# zones in which there is room for seven releases, not for thirteen

my @six = map { "b$_" } 1 .. 6;
my @other = map { "c$_" } 1 .. 6;

for my $zone ('1m stats=off', '4608k stats=on') {
    $t->config(text($zone, [ 'a' ]))->start;

    is($t->api('PATCH', '/gray/releases/a', { enabled => JSON::PP::false() })
         ->{status}, 200, "$zone: changed");

    for (1 .. 3) {
        $t->config(text($zone, [ 'a', @six ], 1));
        ok($t->reload(refused => qr/bind\(\) to/), 'six more: refused');
    }

    is($t->api('GET', '/gray/releases/a')->{json}{enabled}, 0,
       'nothing changed');
    is_deeply(status()->{zones}[0]{undeclared}, [],
              'nothing is left of them');

    my $free = status()->{zones}[0]{free};

    $t->config(text($zone, [ 'a', @other ]));
    ok($t->reload, 'six others: there is room');
    is(status()->{zones}[0]{free}, $free, 'which was that of those before');
    is($t->get("/$_?uid=1")->{body}, 'canary:split', "$_ is as declared")
        for 'c1', 'c6';
    is($t->get("/a?uid=1")->{body}, 'stable:disabled', 'a is as it was');
    is_deeply([ map { "$_->{health} $_->{revision}" }
                @{ status()->{releases} } ],
              [ 'ok 2', ('ok 1') x 6 ], 'all are well');


    # another size of documents

    $t->config(text("$zone document=1k", [ 'a', @other[0 .. 4], 'd' ], 1));
    ok($t->reload(refused => qr/bind\(\) to/),
       'one of short documents: refused');

    $t->config(text("$zone document=4k", [ 'a', @other[0 .. 4], 'd' ]));
    ok($t->reload, 'of longer ones');
    is($t->get("/d?uid=1")->{body}, 'canary:split', 'is as declared');

    is($t->api('PATCH', '/gray/releases/d',
               { rules => [ { when => { '$arg_x' => 'x' x 2000 },
                              variant => 'stable' } ] })->{status}, 200,
       'and takes a longer one');
    ok($t->reload, 'reload');
    is($t->api('GET', '/gray/releases/d')->{json}{revision}, 2,
       'which it keeps');

    $t->stop;
}

$t->done;
